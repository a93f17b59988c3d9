"""Many problems in one call."""
