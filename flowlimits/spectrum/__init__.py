"""Measures of eigenvalues."""
