"""Samples of chainrule.functional.pooling."""

from typing import Any

import numpy as np

from tests.samples.table import normal, positive, sample

INDICES = np.array([[[0, 5, 3], [1, 2, 4]]])  # (1, 2, 3), of an axis of 6
PLACES = np.array([[[[0, 3], [10, 13]], [[5, 2], [8, 15]]]])  # (1, 2, 2, 2), of a plane of 4 x 4


def kinked(name: str, *args: Any, **options: Any) -> Any:
    """A sample of a maximum: its kinks are no place for the complex step."""
    return sample(f"functional.{name}", *args, analytic=False, **options)


SAMPLES = [
    kinked("max_pool1d", normal(2, 3, 8), 2),
    kinked("max_pool1d", normal(3, 8), 3, 2, label="unbatched"),
    kinked("max_pool1d", normal(1, 2, 8), 3, 2, 1, 2, True, True, label="all"),
    kinked("max_pool1d", normal(0, 2, 8), 3, label="empty"),
    kinked("max_pool2d", normal(2, 2, 4, 6), 2),
    kinked("max_pool2d", normal(2, 4, 6), (2, 3), label="unbatched"),
    kinked("max_pool2d", normal(1, 2, 5, 6), 3, 1, 1, label="overlapping"),
    kinked("max_pool2d", normal(1, 2, 6, 5), (3, 2), (2, 1), (1, 1), (1, 2), True, True, label="all"),
    kinked("max_pool2d", normal(1, 2, 5, 5), 2, ceil_mode=True, label="ceil"),
    kinked("max_pool3d", normal(1, 2, 4, 3, 4), 2),
    kinked("max_pool3d", normal(2, 4, 3, 4), (2, 1, 3), 1, (1, 0, 1), 1, True, True, label="all"),
    sample("functional.avg_pool1d", normal(2, 3, 8), 2),
    sample("functional.avg_pool1d", normal(3, 8), 3, 2, 1, True, False, label="all"),
    sample("functional.avg_pool1d", normal(0, 2, 8), 3, label="empty"),
    sample("functional.avg_pool2d", normal(2, 2, 4, 6), 2),
    sample("functional.avg_pool2d", normal(2, 4, 6), (2, 3), 1, label="unbatched"),
    sample("functional.avg_pool2d", normal(1, 2, 5, 6), (3, 2), (2, 3), 1, True, label="ceil"),
    sample("functional.avg_pool2d", normal(1, 2, 5, 6), 3, 2, 1, count_include_pad=False, label="inside"),
    sample("functional.avg_pool2d", normal(1, 2, 4, 4), 2, divisor_override=3, label="divisor"),
    sample("functional.avg_pool3d", normal(1, 2, 4, 3, 4), 2),
    sample("functional.avg_pool3d", normal(2, 4, 3, 4), (2, 1, 3), 1, (1, 0, 1), True, False, label="inside"),
    sample("functional.avg_pool3d", normal(1, 1, 4, 2, 2), 2, divisor_override=5, label="divisor"),
    sample("functional.adaptive_avg_pool1d", normal(2, 2, 6), 3),
    sample("functional.adaptive_avg_pool1d", normal(2, 7), 3, label="uneven"),
    sample("functional.adaptive_avg_pool2d", normal(2, 2, 4, 6), 1),
    sample("functional.adaptive_avg_pool2d", normal(2, 2, 4, 6), (2, 3), label="even"),
    sample("functional.adaptive_avg_pool2d", normal(2, 5, 4), (3, None), label="uneven"),
    sample("functional.adaptive_avg_pool2d", normal(1, 2, 3, 2), (5, 3), label="larger"),
    sample("functional.adaptive_avg_pool3d", normal(1, 1, 4, 3, 2), (2, 2, 1)),
    kinked("adaptive_max_pool1d", normal(2, 2, 6), 3),
    kinked("adaptive_max_pool1d", normal(2, 7), 3, True, label="uneven"),
    kinked("adaptive_max_pool2d", normal(2, 2, 4, 6), (2, 3), True),
    kinked("adaptive_max_pool2d", normal(2, 5, 4), (3, None), label="uneven"),
    kinked("adaptive_max_pool2d", normal(1, 2, 3, 2), (5, 3), True, label="larger"),
    kinked("adaptive_max_pool3d", normal(1, 1, 4, 3, 2), (3, 2, 1), True),
    sample("functional.lp_pool1d", positive(2, 2, 6), 2, 3),
    sample("functional.lp_pool1d", positive(2, 7), 3.5, 3, 2, True, label="ceil"),
    sample("functional.lp_pool2d", positive(2, 2, 4, 4), 2, 2),
    sample("functional.lp_pool2d", positive(2, 5, 4), 1.5, (3, 2), 1, label="norm"),
    sample("functional.lp_pool3d", positive(1, 1, 3, 4, 2), 2, (1, 2, 2)),
    sample("functional.max_unpool1d", normal(1, 2, 3), INDICES, 2),
    sample("functional.max_unpool1d", normal(2, 3), INDICES[0], 2, 2, 0, (7,), label="unbatched"),
    sample("functional.max_unpool2d", normal(1, 2, 2, 2), PLACES, 2),
    sample("functional.max_unpool2d", normal(2, 2, 2), PLACES[0], 3, 2, 1, (4, 4), label="padding"),
    sample("functional.max_unpool3d", normal(1, 2, 1, 2, 2), PLACES[:, :, None], (1, 2, 2)),
]
