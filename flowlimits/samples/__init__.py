"""Gradient flow of two-layer networks on a finite sample: early alignment, optimisation threshold."""
