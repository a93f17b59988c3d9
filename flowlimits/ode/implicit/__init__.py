"""The implicit methods."""
