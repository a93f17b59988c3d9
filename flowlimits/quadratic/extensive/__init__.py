"""Quadratic networks whose widths grow with the dimension."""
