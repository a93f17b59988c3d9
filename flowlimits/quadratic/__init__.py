"""Quadratic networks: exact flow at finite dimension, extensive widths, infinite width."""
