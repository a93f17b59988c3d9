"""Speed comparisons: run each with ``python -m validation.benchmarks.NAME``."""
