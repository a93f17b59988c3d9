"""Simulations of committees."""
