"""Products by tiles: against NumPy, for sizes on both sides of a tile's rows and columns."""

from typing import Any

import numpy as np
import pytest

from chainrule.kernels.cpu.tile import HEIGHT, add_product, pack, panels_of, width_of

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def packed(weight: Any, parts: int, transposed: bool) -> Any:
    rows = len(weight) // parts
    panels = panels_of(parts, *((weight.shape[1], rows) if transposed else (rows, weight.shape[1])), weight.dtype)
    panels.fill(np.nan)
    pack(panels.shape[0] * panels.shape[1], weight, transposed, panels)
    return panels


@DTYPES
@pytest.mark.parametrize("rows", [1, HEIGHT - 1, HEIGHT, 2 * HEIGHT + 3])
def test_a_product_is_that_of_its_matrices_and_touches_nothing_else(dtype: Any, rows: int) -> None:
    """c = start + a @ b inside larger arrays, for one start in all rows and for c itself."""
    rng, width = np.random.default_rng(0), width_of(dtype)
    for depth, columns in ((1, 1), (7, width - 1), (5, width), (3, 2 * width + 5), (0, width)):
        whole = rng.normal(size=(rows, depth + 2)).astype(dtype)
        weight = rng.normal(size=(depth, columns)).astype(dtype)
        panels = np.concatenate([packed(weight, 1, False)[0]]) if depth else panels_of(1, 0, columns, dtype)[0]
        start, spare = rng.normal(size=columns).astype(dtype), np.empty(HEIGHT * width, dtype)
        c = np.full((rows, columns + 3), 7, dtype)
        expected = whole[:, 1 : 1 + depth] @ weight + start
        add_product(whole.reshape(-1), 1, depth + 2, rows, panels, start, 0, 0, c.reshape(-1), 2, columns + 3, columns, spare)
        np.testing.assert_allclose(c[:, 2 : 2 + columns], expected, rtol=0, atol=50 * np.finfo(dtype).eps)
        add_product(whole.reshape(-1), 1, depth + 2, rows, panels, c.reshape(-1), 2, columns + 3, c.reshape(-1), 2, columns + 3,
                    columns, spare)
        np.testing.assert_allclose(c[:, 2 : 2 + columns], 2 * expected - start, rtol=0, atol=100 * np.finfo(dtype).eps)
        assert (c[:, :2] == 7).all() and (c[:, 2 + columns :] == 7).all()


@DTYPES
@pytest.mark.parametrize("transposed", [False, True])
def test_packing_keeps_every_number_and_fills_up_with_zeros(dtype: Any, transposed: bool) -> None:
    width = width_of(dtype)
    weight = np.arange(1, 1 + 3 * (width + 2) * (width + 1), dtype=dtype).reshape(3 * (width + 2), width + 1)
    panels = packed(weight, 3, transposed)
    for part, own in enumerate(np.split(weight, 3)):
        matrix = own.T if transposed else own
        joined = np.concatenate(list(panels[part]), axis=1)
        np.testing.assert_array_equal(joined[:, : matrix.shape[1]], matrix)
        assert not joined[:, matrix.shape[1] :].any()


def test_what_is_not_finite_stays_in_its_row() -> None:
    a = np.ones((HEIGHT, 3), np.float32)
    a[1, 1], a[2, 0] = np.nan, np.inf
    panels = packed(np.ones((3, 5), np.float32), 1, False)
    c = np.zeros((HEIGHT, 5), np.float32)
    spare = np.empty(HEIGHT * width_of(np.float32), np.float32)
    add_product(a.reshape(-1), 0, 3, HEIGHT, panels[0], np.zeros(5, np.float32), 0, 0, c.reshape(-1), 0, 5, 5, spare)
    assert np.isnan(c[1]).all() and (c[2] == np.inf).all() and (np.delete(c, [1, 2], 0) == 3).all()
