"""Quadratic networks of extensive width on finitely many samples."""
