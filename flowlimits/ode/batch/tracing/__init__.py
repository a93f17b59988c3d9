"""Traces of right-hand sides."""
