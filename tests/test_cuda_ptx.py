"""The instructions of ptx.cuh: small matrices through shared memory and the tensor cores, against NumPy in float64."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.cuda import close, to_device
from tests.kernels import normal

pytestmark = pytest.mark.gpu

C_TYPES = {"float16": "__half", "bfloat16": "__nv_bfloat16"}

# By one warp, d (16, 8) = a b. a (16, 16) has its rows 24 elements apart in shared memory, so that rows lie in different banks.
# b comes as (16, 8), turned while it is read, or as its transpose (8, 16). `rows` of a are copied; the rest is zeros.
HALVES = """
#include "ptx.cuh"
template <typename T, bool TURNED>
__global__ void product(const T* a, const T* b, float* out, T* rounded, int rows) {
    __shared__ __align__(16) unsigned short left[16 * 24], right[16 * 24];
    const int lane = threadIdx.x, columns = TURNED ? 8 : 16;
    copy_async<16>(&left[lane / 2 * 24 + lane % 2 * 8], &a[lane * 8], lane / 2 < rows);
    copy_async_commit();
    for (int i = lane; i < 16; i += 32) copy_async<16>(&right[i * 8 / columns * 24 + i * 8 % columns], &b[i * 8]);
    copy_async_commit();
    copy_async_wait<0>();
    __syncwarp();
    float d[4] = {};
    unsigned fragment[4], both[4];
    ldmatrix_x4(fragment, &left[lane % 16 * 24 + lane / 16 * 8]);
    if (TURNED) ldmatrix_x4_turned(both, &right[lane % 16 * 24]);
    else ldmatrix_x4(both, &right[lane % 8 * 24 + lane / 8 % 2 * 8]);
    const unsigned second[2] = {both[0], both[1]};
    mma_m16n8k16<T>(d, fragment, second);
    for (int i = 0; i < 4; i++) out[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
    for (int i = 0; i < 2; i++) ((unsigned*)rounded)[(lane / 4 + i * 8) * 4 + lane % 4] = pair<T>(d[2 * i], d[2 * i + 1]);
}
"""
TF32 = """
#include "ptx.cuh"
extern "C" __global__ void product(const float* a, const float* b, float* out) {  // (16, 8) by the transpose of (8, 8)
    __shared__ __align__(16) float left[16 * 12], right[8 * 12];
    const int lane = threadIdx.x;
    for (int i = lane; i < 64; i += 32) copy_async<8>(&left[i / 4 * 12 + i % 4 * 2], &a[i * 2]);
    for (int i = lane; i < 64; i += 32) copy_async<4>(&right[i / 8 * 12 + i % 8], &b[i]);
    copy_async_commit();
    copy_async_wait<0>();
    __syncwarp();
    float d[4] = {};
    unsigned fragment[4], both[4];
    ldmatrix_x4(fragment, &left[lane % 16 * 12 + lane / 16 * 4]);
    ldmatrix_x4(both, &right[lane % 8 * 12 + lane / 8 % 2 * 4]);
    for (unsigned& x : fragment) x = tf32(__uint_as_float(x));
    const unsigned second[2] = {tf32(__uint_as_float(both[0])), tf32(__uint_as_float(both[1]))};
    mma_m16n8k8(d, fragment, second);
    for (int i = 0; i < 4; i++) out[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}
"""


def launch(source: str, name: str, *arguments: Any) -> None:
    import cupy

    from chainrule.kernels.cuda.launch import OPTIONS

    module = cupy.RawModule(code=source, options=OPTIONS, name_expressions=(name,) if "<" in name else None)
    module.get_function(name)((1,), (32,), arguments)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_products_of_sixteen_bits(dtype: Any, turned: bool) -> None:
    a, b = normal(0, 16, 16).astype(dtype), normal(1, 16, 8).astype(dtype)
    out, rounded = to_device([np.empty((16, 8), np.float32), np.empty((16, 8), dtype)])
    launch(HALVES, f"product<{C_TYPES[np.dtype(dtype).name]}, {str(turned).lower()}>",
           *to_device([a, b if turned else np.ascontiguousarray(b.T)]), out, rounded, np.int32(11))
    expected = a.astype(np.float64) @ b.astype(np.float64)
    expected[11:] = 0
    close(out.get(), expected, np.float32)
    np.testing.assert_array_equal(rounded.get(), out.get().astype(dtype))


def test_product_of_tf32() -> None:
    a, b = normal(0, 16, 8, dtype=np.float32), normal(1, 8, 8, dtype=np.float32)
    out, = to_device([np.empty((16, 8), np.float32)])
    launch(TF32, "product", *to_device([a, b]), out)
    cut = [((x.view(np.uint32) + 0x1000) & ~np.uint32(0x1FFF)).view(np.float32).astype(np.float64) for x in (a, b)]
    assert np.abs(cut[0] - a).max() > 1e-6
    close(out.get(), cut[0] @ cut[1].T, np.float32)
