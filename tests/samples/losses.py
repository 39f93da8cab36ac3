"""Samples of chainrule.functional's losses."""

from typing import Any

import numpy as np

from tests.samples.table import Sample, away, integers, mask, normal, positive, sample, uniform


def reductions(name: str, *args: Any, **options: Any) -> list[Sample]:
    """One sample for each reduction."""
    label = options.pop("label", "")
    return [sample(f"functional.{name}", *args, reduction=reduction, label=f"{label} {reduction}".strip(), **options)
            for reduction in ("none", "sum", "mean")]


def probabilities(*shape: int) -> np.ndarray:
    """Numbers that sum to 1 over axis 1 (over all for one axis)."""
    p = positive(*shape)
    return p / p.sum(1 if len(shape) > 1 else 0, keepdims=True)


def signs(*shape: int) -> np.ndarray:
    """1 and -1."""
    return np.where(mask(*shape), 1, -1)


def checked(torch: Any, result: Any, native: Any) -> Any:
    """The result, once it equals torch's own, which cannot be differentiated by the weight."""
    torch.testing.assert_close(result, native)
    return result


def weighted_nll(torch: Any, scores: Any, target: Any, weight: Any, *, logits: bool = False, reduction: str = "mean",
                 ignore_index: int = -100, label_smoothing: float = 0.0) -> Any:
    """nll_loss, or cross_entropy of logits, written out."""
    functions = torch.nn.functional
    options: dict[str, Any] = {"reduction": reduction, "ignore_index": ignore_index}
    if logits:
        native = functions.cross_entropy(scores, target, weight.detach(), label_smoothing=label_smoothing, **options)
    else:
        native = functions.nll_loss(scores, target, weight.detach(), **options)
    rows = scores.reshape(1, -1) if scores.ndim == 1 else scores.movedim(1, -1)
    rows = rows.log_softmax(-1) if logits else rows
    target = target.reshape(rows.shape[:-1])
    counts = target != ignore_index
    one_hot = functions.one_hot(torch.where(counts, target, 0), rows.shape[-1]) * counts[..., None]
    smooth = one_hot * (1 - label_smoothing) + label_smoothing / rows.shape[-1] * counts[..., None]
    loss = -(smooth * weight * rows).sum(-1)
    total = {"none": loss.reshape(native.shape) if reduction == "none" else loss, "sum": loss.sum(),
             "mean": loss.sum() / (one_hot * weight).sum()}[reduction]
    return checked(torch, total, native)


def weighted_cross_entropy(torch: Any, *args: Any, **options: Any) -> Any:
    """cross_entropy of class indices with a weight."""
    return weighted_nll(torch, *args, logits=True, **options)


def weighted_bce(torch: Any, input: Any, target: Any, weight: Any) -> Any:
    """binary_cross_entropy with a weight."""
    function = torch.nn.functional.binary_cross_entropy
    return checked(torch, (function(input, target, reduction="none") * weight).mean(),
                   function(input, target, weight.detach()))


def weighted_bce_with_logits(torch: Any, input: Any, target: Any, weight: Any, pos_weight: Any) -> Any:
    """binary_cross_entropy_with_logits with both weights."""
    sigmoid = torch.nn.functional.logsigmoid
    loss = -weight * (pos_weight * target * sigmoid(input) + (1 - target) * sigmoid(-input))
    native = torch.nn.functional.binary_cross_entropy_with_logits
    return checked(torch, loss.mean(), native(input, target, weight.detach(), pos_weight=pos_weight.detach()))


def weighted_multi_margin(torch: Any, input: Any, target: Any, p: int, margin: float, weight: Any) -> Any:
    """multi_margin_loss with a weight."""
    function = torch.nn.functional.multi_margin_loss
    loss = function(input, target, p, margin, reduction="none") * weight[target]
    return checked(torch, loss.mean(), function(input, target, p, margin, weight.detach()))


def mean_kl_div(torch: Any, input: Any, target: Any, reduction: str, log_target: bool = False) -> Any:
    """kl_div without torch's warning about its own mean."""
    loss = torch.nn.functional.kl_div(input, target, reduction="none", log_target=log_target)
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]


def true_ctc(torch: Any, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0,
             reduction: str = "mean", zero_infinity: bool = False) -> Any:
    """ctc_loss with its derivative by log_probs. torch's own adds exp(log_probs), the way back through a log_softmax."""
    function = torch.nn.functional.ctc_loss
    options: dict[str, Any] = {"blank": blank, "zero_infinity": zero_infinity}
    given = targets, input_lengths, target_lengths
    losses = function(log_probs, *given, reduction="none", **options)
    counts = torch.arange(log_probs.shape[0]) < input_lengths.reshape(-1, 1)  # (N, T)
    counts = counts & torch.isfinite(losses.detach()).reshape(-1, 1) & (losses.detach() != 0).reshape(-1, 1)
    extra = (log_probs.exp().sum(-1).reshape(log_probs.shape[0], -1).T * counts).sum(1).reshape(losses.shape)
    losses = losses - (extra - extra.detach())
    mean = (losses / target_lengths.clamp(min=1)).mean()
    return checked(torch, {"none": losses, "sum": losses.sum(), "mean": mean}[reduction],
                   function(log_probs, *given, reduction=reduction, **options))


X, T = normal(4, 3), normal(4, 3)
NEAR = away(4, 3, points=(0.0, 1.0, -1.0, 0.4, -0.4))  # differences away from the kinks of Huber's loss
SOME = np.array([2, -100, 0, 4])

SAMPLES = [
    *reductions("mse_loss", X, T),
    *reductions("mse_loss", X, T, weight=positive(4, 3), label="weight"),
    sample("functional.mse_loss", normal(), normal(), label="0-d"),
    sample("functional.mse_loss", normal(0, 3), normal(0, 3), reduction="sum", label="empty"),
    sample("functional.mse_loss", X, integers(0, 4, 4, 3), label="integer target"),
    *reductions("l1_loss", NEAR, np.zeros((4, 3)), analytic=False),
    *reductions("l1_loss", X, T, weight=positive(4, 3), analytic=False, label="weight"),
    sample("functional.l1_loss", normal(0, 3), normal(0, 3), reduction="none", analytic=False, label="empty"),
    *reductions("smooth_l1_loss", NEAR, np.zeros((4, 3)), analytic=False),
    sample("functional.smooth_l1_loss", NEAR, np.zeros((4, 3)), beta=0.4, analytic=False, label="beta"),
    sample("functional.smooth_l1_loss", NEAR, np.zeros((4, 3)), beta=0, analytic=False, label="beta 0"),
    sample("functional.smooth_l1_loss", normal(), normal(), analytic=False, label="0-d"),
    *reductions("huber_loss", NEAR, np.zeros((4, 3)), analytic=False),
    sample("functional.huber_loss", NEAR, np.zeros((4, 3)), delta=0.4, analytic=False, label="delta"),
    sample("functional.huber_loss", NEAR, np.zeros((4, 3)), weight=positive(4, 3), analytic=False, label="weight"),
    *reductions("kl_div", normal(4, 3), probabilities(4, 3), torch=mean_kl_div),
    sample("functional.kl_div", normal(4, 3), probabilities(4, 3), reduction="batchmean", label="batchmean"),
    *reductions("kl_div", normal(4, 3), normal(4, 3), log_target=True, label="log target", torch=mean_kl_div),
    *reductions("poisson_nll_loss", X, positive(4, 3)),
    *reductions("poisson_nll_loss", positive(4, 3), positive(4, 3), log_input=False, label="rate"),
    sample("functional.poisson_nll_loss", X, uniform(1.5, 4.0, 4, 3), full=True, label="full"),
    sample("functional.poisson_nll_loss", X, uniform(0.1, 0.9, 4, 3), full=True, label="full below"),
    sample("functional.poisson_nll_loss", positive(3), positive(3), log_input=False, eps=0.5, label="eps"),
    *reductions("gaussian_nll_loss", X, T, positive(4, 3)),
    sample("functional.gaussian_nll_loss", X, T, positive(4, 3), full=True, label="full"),
    sample("functional.gaussian_nll_loss", X, T, positive(4, 1), label="one variance a row"),
    sample("functional.gaussian_nll_loss", X, T, positive(4), label="short variance"),
    sample("functional.gaussian_nll_loss", X, T, 0.7, label="number"),
    *reductions("cross_entropy", normal(4, 5), integers(0, 5, 4)),
    *reductions("cross_entropy", normal(4, 5), SOME, positive(5), torch=weighted_cross_entropy, label="weight ignore"),
    *reductions("cross_entropy", normal(4, 5), np.array([2, 1, 0, 1]), positive(5), ignore_index=1, label_smoothing=0.2,
                torch=weighted_cross_entropy, label="smoothing"),
    *reductions("cross_entropy", normal(2, 5, 3), integers(0, 5, 2, 3), label="positions"),
    sample("functional.cross_entropy", normal(2, 5, 3, 2), integers(0, 5, 2, 3, 2), positive(5), label_smoothing=0.1,
           torch=weighted_cross_entropy, label="two axes of positions"),
    sample("functional.cross_entropy", normal(5), np.array(3), label="one sample"),
    sample("functional.cross_entropy", normal(5), np.array(3), positive(5), label_smoothing=0.3, reduction="none",
           torch=weighted_cross_entropy, label="one sample weight"),
    sample("functional.cross_entropy", normal(0, 5), integers(0, 5, 0), reduction="sum", label="empty"),
    *reductions("cross_entropy", normal(4, 5), probabilities(4, 5), label="probabilities"),
    *reductions("cross_entropy", normal(2, 5, 3), probabilities(2, 5, 3), positive(5), label_smoothing=0.2,
                label="probabilities smoothing"),
    sample("functional.cross_entropy", normal(5), probabilities(5), label="one distribution"),
    *reductions("nll_loss", normal(4, 5), integers(0, 5, 4)),
    *reductions("nll_loss", normal(4, 5), SOME, positive(5), torch=weighted_nll, label="weight ignore"),
    sample("functional.nll_loss", normal(2, 5, 3), integers(1, 5, 2, 3), ignore_index=2, label="positions"),
    sample("functional.nll_loss", normal(5), np.array(3), label="one sample"),
    sample("functional.nll_loss", normal(0, 5), integers(0, 5, 0), reduction="none", label="empty"),
    *reductions("binary_cross_entropy", uniform(0.1, 0.9, 4, 3), uniform(0.1, 0.9, 4, 3)),
    sample("functional.binary_cross_entropy", uniform(0.1, 0.9, 4, 3), mask(4, 3).astype(float), positive(3),
           torch=weighted_bce, label="weight"),
    sample("functional.binary_cross_entropy", uniform(0.1, 0.9), np.array(1.0), label="0-d"),
    *reductions("binary_cross_entropy_with_logits", X, uniform(0.1, 0.9, 4, 3)),
    sample("functional.binary_cross_entropy_with_logits", X, mask(4, 3).astype(float), positive(4, 1),
           pos_weight=positive(3), torch=weighted_bce_with_logits, label="weights"),
    sample("functional.binary_cross_entropy_with_logits", normal(0), normal(0), reduction="sum", label="empty"),
    *reductions("soft_margin_loss", X, signs(4, 3)),
    *reductions("multilabel_soft_margin_loss", X, mask(4, 3).astype(float)),
    sample("functional.multilabel_soft_margin_loss", X, mask(4, 3).astype(float), positive(3), label="weight"),
    *reductions("multi_margin_loss", normal(4, 5), integers(0, 5, 4), analytic=False),
    sample("functional.multi_margin_loss", normal(4, 5), integers(0, 5, 4), 2, 0.7, positive(5), analytic=False,
           torch=weighted_multi_margin, label="weight"),
    sample("functional.multi_margin_loss", normal(5), np.array(2), analytic=False, label="one sample"),
    *reductions("multilabel_margin_loss", normal(2, 4), np.array([[3, 0, -1, 1], [2, -1, -1, -1]]), analytic=False),
    sample("functional.multilabel_margin_loss", normal(4), np.array([1, 2, 0, -1]), analytic=False, label="one sample"),
    *reductions("cosine_embedding_loss", normal(4, 3), normal(4, 3), np.array([1, -1, 1, -1]), analytic=False),
    sample("functional.cosine_embedding_loss", normal(3), normal(3), np.array(-1), -0.9, analytic=False,
           label="vectors"),
    *reductions("hinge_embedding_loss", X, signs(4, 3), analytic=False),
    sample("functional.hinge_embedding_loss", X, signs(4, 3), 0.3, analytic=False, label="margin"),
    *reductions("margin_ranking_loss", normal(4), normal(4), signs(4), analytic=False),
    sample("functional.margin_ranking_loss", normal(2, 3), normal(2, 3), signs(2, 3), 0.7, analytic=False,
           label="margin"),
    *reductions("triplet_margin_loss", normal(4, 3), normal(4, 3), normal(4, 3), analytic=False),
    sample("functional.triplet_margin_loss", normal(4, 3), normal(4, 3), normal(4, 3), 2.0, 3, 0.1, True,
           analytic=False, label="swap"),
    sample("functional.triplet_margin_loss", normal(3), normal(3), normal(3), p=1, margin=5.0, analytic=False,
           label="vectors"),
    *reductions("triplet_margin_with_distance_loss", normal(4, 3), normal(4, 3), normal(4, 3), margin=3.0, swap=True,
                analytic=False),
    *reductions("ctc_loss", normal(5, 3, 4), np.array([[1, 2, 3], [2, 2, 1], [3, 0, 0]]), np.array([5, 4, 3]),
                np.array([3, 2, 1]), torch=true_ctc),
    sample("functional.ctc_loss", normal(4, 3, 3), np.array([0, 1, 0, 0]), np.array([4, 3, 2]), np.array([2, 2, 0]), 2,
           "none", torch=true_ctc, label="in a row, last blank, empty target"),
    sample("functional.ctc_loss", normal(4, 3), np.array([1, 2]), np.array(4), np.array(2), reduction="none",
           torch=true_ctc, label="one sequence"),
    sample("functional.ctc_loss", normal(3, 2, 3), np.array([[1, 1], [2, 2]]), np.array([2, 3]), np.array([2, 2]),
           zero_infinity=True, analytic=False, torch=true_ctc, label="zero infinity"),
]
