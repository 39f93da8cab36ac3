"""Every op in an ONNX file computes under onnxruntime what it computes here, for the rows of the sample table."""

import re
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests.checkout import ROOT
from tests.onnx_runs import onnx, run
from tests.properties import flatten, map_arrays, resolve
from tests.samples import SAMPLES
from tests.samples.table import Sample
from tests.torch_answers import keys

KEYS = keys(SAMPLES)
# why functions of the table cannot be exported, by row or by function; export says so
REFUSED = {
    "draws random numbers": [
        "bernoulli", "multinomial", "Tensor.multinomial", "rand_like", "randint_like", "randn_like", "randperm", "normal",
        "functional.dropout", "functional.dropout1d", "functional.dropout2d", "functional.dropout3d", "functional.alpha_dropout",
        "functional.feature_alpha_dropout", "functional.gumbel_softmax", "functional.rrelu-training",
        "functional.scaled_dot_product_attention-dropout-all"],
    "ONNX has no solver, inverse or factorisation": [
        "linalg.inv", "inverse", "linalg.solve", "linalg.solve_triangular", "linalg.cholesky", "cholesky", "matrix_power-negative"],
    "ONNX has no such function": ["erfinv", "cummax", "cummin"],
    "the size or the kind of the result depends on the values": [
        "nonzero", "argwhere", "unique", "bincount", "repeat_interleave-counts", "one_hot-open"],
    "the result is no tensor": ["allclose", "equal"],
    "it is computed on raw arrays": ["functional.ctc_loss", "functional.embedding_bag-max", "functional.embedding_bag-offsets max",
                                     "functional.embedding_bag-padding max"],
    "an index whose elements it might name twice, or of True": ["getitem-all", "getitem-mask and array", "getitem_adjoint"],
}
RUNS = [  # of these functions all the same
    "functional.dropout-evaluation", "functional.dropout1d-none", "functional.alpha_dropout-evaluation",
    "functional.feature_alpha_dropout-evaluation"]
# rows in which programs are free to differ
FREE = {
    "NaN among the elements": ["max-nan", "amin-nan", "argmax-nan", "argmin-nan"],
    "no elements": ["functional.cross_entropy-empty", "mean-of none", "median-of none", "any-empty"],
}


def arguments(sample: Sample) -> tuple[cr.Tensor, ...]:
    """All arrays among a sample's arguments, in float32."""
    found: list[cr.Tensor] = []
    map_arrays((sample.args, sample.kwargs),
               lambda a: found.append(cr.tensor(a.astype(np.float32) if a.dtype.kind == "f" else a)))
    return tuple(found)


def function(sample: Sample) -> Any:
    """The sample's function of these."""
    def call(*tensors: cr.Tensor) -> Any:
        given = iter(tensors)
        args, kwargs = map_arrays((sample.args, sample.kwargs), lambda a: next(given))
        return flatten(resolve(cr, sample.name)(*args, **kwargs), cr.Tensor)

    return call


def listed(sample: Sample, lists: dict[str, list[str]]) -> bool:
    return str(sample) not in RUNS and any(str(sample) in names or sample.name in names for names in lists.values())


def rows(wanted: Any) -> Any:
    found = [s for s in SAMPLES if arguments(s) and wanted(s)]
    return pytest.mark.parametrize("sample", found, ids=[KEYS[id(s)] for s in found])


@rows(lambda s: not listed(s, REFUSED) and not listed(s, FREE))
def test_onnxruntime_computes_the_same(sample: Sample) -> None:
    tensors = arguments(sample)
    with np.errstate(all="ignore"):
        run(function(sample), (tensors, {}), [(tensors, {})], dynamic_axes={}, tolerance=sample.tolerance)


@rows(lambda s: listed(s, REFUSED))
def test_what_cannot_be_exported_says_so(sample: Sample) -> None:
    with pytest.raises(cr.onnx.ExportError, match=r"onnx\.export"):
        cr.onnx.export(function(sample), arguments(sample), dynamic_axes={})


def test_the_lists_name_rows():
    names = {s.name for s in SAMPLES} | {str(s) for s in SAMPLES}
    assert [n for lists in (REFUSED, FREE) for found in lists.values() for n in found if n not in names] == []


EXAMPLES = {"cube"}  # entered by the examples of docs/onnx.md and of `converter`, where they ran before


def test_the_converters_are_of_ops():
    from chainrule.graph import table
    from chainrule.onnx.table import converters

    assert set(converters) - set(table) - EXAMPLES == {"astype"}  # a row outside of the table, like users' own
    assert onnx is not None


def test_the_document_lists_the_converters():
    from chainrule.onnx.table import converters

    text = (ROOT / "docs/onnx.md").read_text(encoding="utf-8")
    shown = text[text.index("<!-- converters -->"):text.index("<!-- end -->")]
    expected = sorted(set(converters) - EXAMPLES)
    assert re.findall(r"`(\w+)`", shown) == expected, f"write them anew: {', '.join(f'`{n}`' for n in expected)}"
