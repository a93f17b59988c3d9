"""Comparison of simulations with theories."""
