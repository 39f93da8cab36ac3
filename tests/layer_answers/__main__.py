"""Ask torch (the `peers` extra) for every row of the table of layers: `python -m tests.layer_answers [family …]`."""

import sys
import warnings

import numpy as np

from tests.layer_answers import path
from tests.layer_samples import FAMILIES
from tests.layer_samples.table import build_torch, digest, first_values, theirs

warnings.simplefilter("ignore")
for family in sys.argv[1:] or FAMILIES:
    import torch

    arrays: dict[str, np.ndarray] = {}
    for i, sample in enumerate(FAMILIES[family]):
        if sample.torch is None:
            continue
        torch.manual_seed(0)
        answer = theirs(sample, build_torch(sample))
        arrays[f"{i}/digest"] = np.array(digest(sample))
        arrays |= {f"{i}/outputs/{k}": a for k, a in enumerate(answer.outputs)}
        arrays |= {f"{i}/inputs/{k}": a for k, a in enumerate(answer.inputs)}
        arrays |= {f"{i}/parameters/{name}": a for name, a in answer.parameters.items()}
        arrays |= {f"{i}/state/{name}": a for name, a in answer.state.items()}
        first = first_values(lambda sample=sample: build_torch(sample), torch.manual_seed)
        arrays |= {f"{i}/first/{name}": a for name, a in first.items()}
    np.savez_compressed(path(family), **arrays)  # type: ignore[arg-type]
    print(f"{family}: {path(family).stat().st_size // 1024} KiB")
