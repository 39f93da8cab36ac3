"""Samples of chainrule.ops.reductions, statistics, sorting and scans."""

import math
from typing import Any

import numpy as np

from tests.samples.table import Sample, integers, mask, normal, sample

nan, inf = math.nan, math.inf
UNRECORDED: dict[str, Any] = {"differentiable": False}
KINKED: dict[str, Any] = {"analytic": False}


def reduction(name: str, make: Any = normal, whole: bool = True, several: bool = True, **options: Any) -> list[Sample]:
    """A reduction: of all, along one axis, along several, keeping them, of one element, of a 0-d tensor."""
    found = [sample(name, make(3, 4, 2), dim=1, label="dim", **options),
             sample(name, make(3, 4), dim=-1, keepdim=True, label="keepdim", **options),
             sample(name, make(2, 1, 3), 1, label="size 1", **options)]
    if whole:
        found += [sample(name, make(3, 4), **options), sample(name, make(), label="0-d", **options)]
    if several:
        found += [sample(name, make(2, 3, 4), dim=(0, -1), label="dims", **options),
                  sample(name, make(2, 3, 4), dim=(2, 0), keepdim=True, label="dims, keepdim", **options)]
    return found


def scan(name: str, make: Any = normal, **options: Any) -> list[Sample]:
    """A scan, or what works along one axis alike."""
    return [sample(name, make(3, 4), dim=0, **options), sample(name, make(2, 5, 3), dim=-2, label="middle", **options),
            sample(name, make(4, 1), dim=1, label="size 1", **options),
            sample(name, make(), dim=0, label="0-d", **options)]


def with_zeros(*shape: int) -> np.ndarray:
    """Values of which several are 0."""
    x = normal(*shape)
    x.flat[::3] = 0
    return x


def ours(name: str) -> Any:
    """torch's function, where its keywords are `dim` alone."""
    return lambda torch, x, axis, keepdims=False: getattr(torch, name)(x, dim=axis, keepdim=keepdims)


TIED = np.array([[2.0, 1.0, 2.0, 0.0], [3.0, 3.0, 1.0, 3.0]])
WITH_NAN = np.array([[2.0, nan, 1.0], [3.0, 4.0, 5.0]])

SAMPLES = [
    # ---- sums and means
    *reduction("sum"), *reduction("mean"), *reduction("nansum"), *reduction("nanmean", **KINKED),
    sample("sum", normal(0, 3), dim=0, label="empty"), sample("sum", normal(0), label="empty, all"),
    sample("sum", normal(3, 4), axis=1, keepdims=True, label="axis", torch=ours("sum")),
    sample("sum", mask(5), label="bools", **UNRECORDED),
    sample("sum", integers(0, 9, 3, 4), dim=0, label="integers", **UNRECORDED),
    sample("mean", normal(0, 3), dim=1, label="empty"),
    sample("mean", normal(0, 3), dim=0, label="of none", **UNRECORDED),
    sample("mean", normal(3, 4), axis=(0, 1), keepdims=True, label="axis", torch=ours("mean")),
    sample("nansum", WITH_NAN, 1, label="nan", **UNRECORDED), sample("nanmean", WITH_NAN, 1, label="nan", **UNRECORDED),
    # ---- products
    *reduction("prod", several=False), *reduction("prod", with_zeros, several=False),
    sample("prod", normal(7), label="odd"), sample("prod", normal(0, 3), dim=0, label="empty"),
    sample("prod", normal(2, 3, 2), dim=(0, 2), label="dims", torch=lambda torch, x, dim: x.prod(2).prod(0)),
    sample("prod", integers(1, 4, 3), label="integers", **UNRECORDED),
    *scan("cumsum"), *scan("cumprod"), *scan("cumprod", with_zeros),
    sample("cumsum", normal(0, 3), dim=0, label="empty"), sample("cumprod", normal(0, 3), dim=0, label="empty"),
    sample("cumsum", mask(5), dim=0, label="bools", **UNRECORDED),
    sample("cumprod", integers(1, 4, 4), dim=0, label="integers", **UNRECORDED),
    *scan("cummax", **KINKED), *scan("cummin", **KINKED),
    sample("cummax", np.array([1.0, 1.0, 0.0, nan, 2.0]), 0, label="ties and nan", **UNRECORDED),
    sample("cummin", np.array([1.0, 1.0, 0.0, 0.0, nan, -2.0]), 0, label="ties and nan", **UNRECORDED),
    # ---- variance
    *[row for name in ("var", "std") for row in (
        *[r for r in reduction(name) if r.label not in ("size 1", "0-d")],
        sample(name, normal(3, 4), dim=0, correction=0, label="correction 0"),
        sample(name, normal(5), unbiased=False, label="biased"),
        sample(name, normal(5), False, label="biased, first"),
        sample(name, normal(2, 1), dim=1, label="of one", **UNRECORDED),
        sample(name, normal(0, 3), dim=1, label="empty"))],
    sample("var_mean", normal(3, 4), dim=1, keepdim=True), sample("std_mean", normal(3, 4), dim=0, correction=2),
    sample("var_mean", normal(5), label="all"), sample("std_mean", normal(5), unbiased=False, label="biased"),
    # ---- norms
    *[r for r in reduction("norm") if not r.args[1:]],
    *[sample("norm", normal(3, 4), p, 1, label=f"p={p}", **KINKED) for p in (0.5, 1, 1.5, 3, inf, -inf, -1)],
    sample("norm", normal(3, 4), 0, 1, label="p=0", **UNRECORDED),
    *[sample("norm", normal(3, 4), p, label=f"p={p}, all", **KINKED) for p in (1, 3, inf)],
    sample("norm", normal(0, 3), dim=1, label="empty"), sample("norm", normal(0), label="of none", **UNRECORDED),
    *[sample("vector_norm", normal(3, 4), p, (0, 1), label=f"p={p}", torch="linalg.vector_norm", **KINKED)
      for p in (1, 2, inf, 2.5)],
    # ---- sums of exponentials
    *reduction("logsumexp", whole=False), sample("logsumexp", normal(), 0, label="0-d"),
    sample("logsumexp", normal(0, 3), 0, label="empty", **UNRECORDED),
    sample("logsumexp", np.array([[1000.0, 999.0], [-inf, 2.0], [-inf, -inf]]), 1, label="far", **UNRECORDED),
    *scan("softmax"), *scan("log_softmax"),
    sample("softmax", np.array([[1000.0, 999.0], [-inf, 2.0]]), -1, label="far", **UNRECORDED),
    sample("log_softmax", np.array([[1000.0, 999.0], [-inf, 2.0]]), -1, label="far", **UNRECORDED),
    sample("softmax", normal(0, 3), dim=-1, label="empty"), sample("log_softmax", normal(0, 3), dim=0, label="empty"),
    # ---- extrema
    *reduction("amax", **KINKED), *reduction("amin", **KINKED),
    *reduction("max", several=False, **KINKED), *reduction("min", several=False, **KINKED),
    sample("amax", normal(0, 3), dim=1, label="empty", **KINKED),
    sample("max", normal(0, 3), 1, label="empty", **KINKED),
    sample("max", normal(3), normal(2, 3), label="of two", **KINKED),
    sample("min", normal(3), normal(2, 3), label="of two", **KINKED),
    sample("max", WITH_NAN, 1, label="nan", **UNRECORDED), sample("amin", WITH_NAN, 1, label="nan", **UNRECORDED),
    sample("max", TIED, 1, label="ties", **UNRECORDED), sample("min", TIED, 1, label="ties", **UNRECORDED),
    sample("aminmax", normal(3, 4), **KINKED),
    sample("aminmax", normal(3, 4), dim=1, keepdim=True, label="dim", **KINKED),
    *[row for name in ("argmax", "argmin") for row in (
        *[sample(r.name, *r.args, label=r.label, **UNRECORDED, **r.kwargs) for r in reduction(name, several=False)],
        sample(name, TIED, 1, label="ties", **UNRECORDED), sample(name, WITH_NAN, label="nan", **UNRECORDED))],
    # ---- order
    *scan("sort", **KINKED),
    *[sample(r.name, *r.args, label=r.label, **UNRECORDED, **r.kwargs) for r in scan("argsort")],
    sample("sort", normal(3, 4), descending=True, label="descending", **KINKED),
    sample("sort", TIED, 1, descending=True, label="ties, descending", **UNRECORDED,
           torch=lambda torch, x, dim, descending: torch.sort(x, dim=dim, descending=descending, stable=True)),
    sample("sort", WITH_NAN, descending=True, label="nan, descending", **UNRECORDED),
    sample("sort", normal(0, 3), 0, label="empty", **KINKED),
    sample("argsort", normal(3, 4), dim=0, descending=True, label="descending", **UNRECORDED),
    sample("msort", normal(3, 4), **KINKED),
    sample("topk", normal(3, 5), 2, **KINKED), sample("topk", normal(3, 5), 2, dim=0, label="dim", **KINKED),
    sample("topk", normal(3, 5), 3, largest=False, label="smallest", **KINKED),
    sample("topk", normal(), 1, label="0-d", **KINKED),
    sample("topk", normal(3, 5), 0, label="none", **KINKED),
    sample("kthvalue", normal(3, 5), 2, **KINKED),
    sample("kthvalue", normal(3, 5), 3, 0, True, label="keepdim", **KINKED),
    *reduction("median", several=False, **KINKED),
    sample("median", normal(5), label="odd", **KINKED),
    sample("median", WITH_NAN, 1, label="nan", **UNRECORDED),
    sample("median", normal(0), label="of none", **UNRECORDED),
    sample("quantile", normal(3, 5), 0.25, **KINKED),
    sample("quantile", normal(3, 5), 0.5, dim=1, label="dim", **KINKED),
    sample("quantile", normal(3, 5), [0.1, 0.5, 0.9], dim=0, keepdim=True, label="several", **KINKED,
           torch=lambda torch, x, q, dim, keepdim: torch.quantile(x, torch.tensor(q, dtype=x.dtype), dim, keepdim)),
    *[sample("quantile", normal(2, 6), 0.37, dim=1, interpolation=m, label=m, **KINKED)
      for m in ("lower", "higher", "midpoint", "nearest")],
    # ---- counting
    *[sample(r.name, *r.args, label=r.label, **UNRECORDED, **r.kwargs) for name in ("any", "all")
      for r in reduction(name, lambda *s: np.asarray(integers(0, 2, *s) > 0))],
    sample("any", mask(0), label="empty", **UNRECORDED), sample("all", mask(0), label="empty", **UNRECORDED),
    sample("count_nonzero", integers(0, 3, 3, 4), **UNRECORDED),
    sample("count_nonzero", integers(0, 3, 3, 4), dim=1, label="dim", **UNRECORDED),
    # ---- differences
    sample("diff", normal(3, 4)), sample("diff", normal(3, 4), 2, 0, label="second"),
    sample("diff", normal(3, 4), prepend=normal(3, 1), append=normal(3, 2), label="joined"),
    sample("diff", normal(3), 5, label="too few"),
    sample("diff", mask(5), label="bools", **UNRECORDED),
]
