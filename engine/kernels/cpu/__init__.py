"""The cpu backend: the reference overlaid with numba kernels, each imported when first asked for."""
