"""Moments of Gaussian preactivations: erf, polynomials, ReLU, and bivariate normal probabilities."""
