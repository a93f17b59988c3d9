"""Batches of problems on SIMD lanes."""
