"""Quadratic networks of infinite width at fixed dimension."""
