"""Compiled equations of committees."""
