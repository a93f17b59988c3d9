"""Numba, its cache, SIMD types and views of arrays: the only importer of numba.core, numba.np and llvmlite."""
