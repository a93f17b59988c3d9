"""Signatures of Jacobians of a structure of their own, and calls of their functions by address."""

from numba import types

from .jit import A1, FLOAT, _call_by_address, _intrinsic

#: jacobian(t, y, data, params, work) writes a Jacobian of a structure of its own
STRUCTURE_SIGNATURE = types.void(FLOAT, A1, A1, A1, A1)
COMPLEX = types.complex128
C1 = types.complex128[::1]
PIVOTS = types.int64[::1]
#: factor(shift, h, data, factors, pivots) decomposes shift - h J and returns 1, or 0 if that is singular
FACTOR = types.int64(FLOAT, FLOAT, A1, A1, PIVOTS)
FACTOR_COMPLEX = types.int64(COMPLEX, FLOAT, A1, C1, PIVOTS)
#: solve(h, data, factors, pivots, x) overwrites x
SOLVE = types.void(FLOAT, A1, A1, PIVOTS, A1)
SOLVE_COMPLEX = types.void(FLOAT, A1, C1, PIVOTS, C1)


@_intrinsic
def call_structure(typingctx, address, t, y, data, params, work):
    """Call the Jacobian of a structure of its own at `address`: writes data."""
    return _call_by_address(STRUCTURE_SIGNATURE)


@_intrinsic
def call_factor(typingctx, address, shift, h, data, factors, pivots):
    """Call the decomposition at `address`: returns whether it was regular."""
    return _call_by_address(FACTOR)


@_intrinsic
def call_factor_complex(typingctx, address, shift, h, data, factors, pivots):
    """Call the complex decomposition at `address`: returns whether it was regular."""
    return _call_by_address(FACTOR_COMPLEX)


@_intrinsic
def call_solve(typingctx, address, h, data, factors, pivots, x):
    """Call the solution of a real system at `address`: overwrites x."""
    return _call_by_address(SOLVE)


@_intrinsic
def call_solve_complex(typingctx, address, h, data, factors, pivots, x):
    """Call the solution of a complex system at `address`: overwrites x."""
    return _call_by_address(SOLVE_COMPLEX)
