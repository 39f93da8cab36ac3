"""Losses: every option of every one. Inputs of losses with kinks keep away from them."""

from typing import Any

import numpy as np

from tests.layer_samples.table import LayerSample, layer
from tests.samples.losses import mean_kl_div, probabilities, signs, true_ctc
from tests.samples.table import away, mask, normal, positive, uniform

X, T = normal(4, 3), normal(4, 3)
NEAR, ZEROS = away(4, 3, points=(0.0, 1.0, -1.0, 0.4, -0.4)), np.zeros((4, 3))
CLASSES, TARGETS = normal(4, 3), np.array([0, 2, 1, 2])
LABELS = mask(4, 3).astype(float)
TRIPLET = normal(4, 3), normal(4, 3), normal(4, 3)
SPELLED = normal(5, 3, 4), np.array([[1, 2, 3], [2, 2, 1], [3, 1, 1]]), np.array([5, 4, 3]), np.array([3, 2, 1])


def each(name: str, *args: Any, inputs: Any, **options: Any) -> list[LayerSample]:
    """One row for each reduction."""
    return [layer(name, *args, inputs=inputs, reduction=reduction, label=reduction, **options)
            for reduction in ("mean", "sum", "none")]


def ctc(torch: Any, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> Any:
    """torch's layer with the derivative of what it computes."""

    class CTCLoss(torch.nn.CTCLoss):  # type: ignore[misc, name-defined, unused-ignore]
        def forward(self, *inputs: Any) -> Any:
            return true_ctc(torch, *inputs, self.blank, self.reduction, self.zero_infinity)

    return CTCLoss(blank, reduction, zero_infinity)


def quiet_divergence(torch: Any, reduction: str) -> Any:
    """torch's layer without its warning about its own mean."""

    class KLDivLoss(torch.nn.KLDivLoss):  # type: ignore[misc, name-defined, unused-ignore]
        def forward(self, *inputs: Any) -> Any:
            return mean_kl_div(torch, *inputs, self.reduction)

    return KLDivLoss(reduction=reduction)


def distance(x: Any, y: Any) -> Any:
    """A distance for both libraries."""
    return ((x - y) ** 2).sum(-1)


LAYERS = [
    *each("L1Loss", inputs=[NEAR, ZEROS]),
    *each("MSELoss", inputs=[X, T]),
    *each("SmoothL1Loss", inputs=[NEAR, ZEROS]),
    layer("SmoothL1Loss", beta=0.4, inputs=[NEAR, ZEROS], label="beta"),
    *each("HuberLoss", inputs=[NEAR, ZEROS]),
    layer("HuberLoss", "sum", 0.4, inputs=[NEAR, ZEROS], label="delta"),
    *each("KLDivLoss", inputs=[X, probabilities(4, 3)], torch=quiet_divergence),
    layer("KLDivLoss", reduction="batchmean", log_target=True, inputs=[X, T], label="log-target"),
    *each("PoissonNLLLoss", inputs=[X, positive(4, 3)]),
    layer("PoissonNLLLoss", False, True, eps=0.1, inputs=[positive(4, 3), uniform(1.5, 4.0, 4, 3)], label="options"),
    *each("GaussianNLLLoss", inputs=[X, T, positive(4, 3)]),
    layer("GaussianNLLLoss", full=True, eps=0.1, inputs=[X, T, positive(4, 1)], label="options"),
    *each("CrossEntropyLoss", inputs=[CLASSES, TARGETS]),
    layer("CrossEntropyLoss", positive(3), ignore_index=1, label_smoothing=0.1, inputs=[CLASSES, TARGETS], label="options"),
    layer("CrossEntropyLoss", positive(3), inputs=[normal(2, 3, 2), probabilities(2, 3, 2)], label="probabilities"),
    *each("NLLLoss", inputs=[CLASSES, TARGETS]),
    layer("NLLLoss", positive(3), ignore_index=1, inputs=[CLASSES, TARGETS], label="options"),
    *each("BCELoss", inputs=[uniform(0.1, 0.9, 4, 3), uniform(0.1, 0.9, 4, 3)]),
    layer("BCELoss", positive(3), inputs=[uniform(0.1, 0.9, 4, 3), LABELS], label="weight"),
    *each("BCEWithLogitsLoss", inputs=[X, LABELS]),
    layer("BCEWithLogitsLoss", positive(4, 1), pos_weight=positive(3), inputs=[X, LABELS], label="weights"),
    *each("SoftMarginLoss", inputs=[X, signs(4, 3)]),
    *each("MultiLabelSoftMarginLoss", inputs=[X, LABELS]),
    layer("MultiLabelSoftMarginLoss", positive(3), inputs=[X, LABELS], label="weight"),
    *each("MultiLabelMarginLoss", inputs=[normal(2, 4), np.array([[3, 0, -1, 1], [2, -1, -1, -1]])]),
    *each("MultiMarginLoss", inputs=[CLASSES, TARGETS]),
    layer("MultiMarginLoss", 2, 0.7, positive(3), inputs=[CLASSES, TARGETS], label="options"),
    *each("MarginRankingLoss", inputs=[normal(4), normal(4), signs(4)]),
    layer("MarginRankingLoss", 0.7, inputs=[normal(4), normal(4), signs(4)], label="margin"),
    *each("HingeEmbeddingLoss", inputs=[X, signs(4, 3)]),
    layer("HingeEmbeddingLoss", 0.3, inputs=[X, signs(4, 3)], label="margin"),
    *each("CosineEmbeddingLoss", inputs=[X, T, signs(4)]),
    layer("CosineEmbeddingLoss", -0.9, inputs=[normal(3), normal(3), np.array(-1)], label="margin"),
    *each("TripletMarginLoss", inputs=TRIPLET),
    layer("TripletMarginLoss", 2.0, 3.0, 0.1, True, inputs=TRIPLET, label="options"),
    *each("TripletMarginWithDistanceLoss", inputs=TRIPLET),
    layer("TripletMarginWithDistanceLoss", distance_function=distance, margin=3.0, swap=True, inputs=TRIPLET, label="options"),
    *each("CTCLoss", inputs=SPELLED, torch=ctc, onnx=False),
    layer("CTCLoss", 3, "sum", True, inputs=[normal(4, 2, 4), np.array([[1, 1], [2, 2]]), np.array([2, 4]), np.array([2, 2])],
          torch=ctc, onnx=False, label="options"),
]
