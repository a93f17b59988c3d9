"""Fluctuations of one-pass SGD at finite dimension, and what else follows from the Jacobian of the overlaps' equations."""
