"""Places of the integrators' state between two slices of work, and the codes that they return.

A loop runs a bounded number of steps and returns, so that Python sees interrupts and can show progress.  Everything
that the next slice needs lies in these arrays: cutting the work into slices does not change a bit of the result.
"""

# real: float64 array
T, H, MEMORY, END, MAX_STEP, RTOL, LAST_H, FACTORED_H, RATE, SLOWEST, WIDEN = range(11)
REALS = WIDEN + 3

# count: int64 array
(
    BEGUN,  # 0 before the first evaluation
    NEXT,  # index of the next requested time
    STEPS,
    REJECTED,
    EVALUATIONS,
    JACOBIANS,
    FACTORISATIONS,
    AFTER_REJECTION,
    NOT_FINITE_RUN,  # consecutive steps with values that are not finite
    STIFF_SIGNS,
    NONSTIFF_SIGNS,
    LOGGED,  # filled rows of the event log
    MAX_STEPS,
    DENSE_FROM,  # begin to interpolate when this many requested times lie in one step, 0: never
    DENSE_WHILE,  # go on while this many do
    DENSE_MODE,  # whether the present step is one that interpolates
    PATIENCE,  # leave for the other kind of method if more steps than this remain, -1: never
    METHOD,  # index of the implicit method: 0, 1, 2 for 3, 5, 7 stages
    LOWEST,  # bounds of METHOD
    HIGHEST,
    SINCE_CHANGE,  # steps since METHOD changed
    STALE_JACOBIAN,  # the Jacobian must be evaluated before the next step
    CURRENT_JACOBIAN,  # the Jacobian belongs to the present state
    PREVIOUS_ROWS,  # rows of the polynomial of the last step, 0: none
    DISTRUST,  # steps for which a new Jacobian is evaluated each time
    CAUTION,  # steps for which the step may grow only a little
    FAILURES,  # consecutive failures of Newton's iteration or of the linear algebra
) = range(27)
COUNTS = 27

RUNNING, SUCCESS, EVENT, STIFF, NONSTIFF, LOG_FULL = range(6)
NOT_FINITE, STEP_TOO_SMALL, TOO_MANY_STEPS, JACOBIAN_SINGULAR, JACOBIAN_NOT_FINITE, NEWTON_FAILED = range(10, 16)
INTERRUPTED = 20

#: At most this many roots of one event are looked for in one step.
PIECES = 4
