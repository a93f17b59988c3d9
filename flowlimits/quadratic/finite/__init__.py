"""Quadratic networks at finite dimension."""
