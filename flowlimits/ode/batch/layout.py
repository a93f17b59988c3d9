"""Places of the numbers of the loop over lanes (compiled part).

The states, slopes and scratch of all lanes are the rows of one table of vectors.
"""

# rows of the table, a float64 array (n, TABLE_ROWS, LANES); K is followed by the other slopes
Y, NEW, POINT, WEIGHTS, K = range(5)

# lane: float64 array (LANE_NUMBERS, LANES); counts are numbers too, so that steps are controlled in all lanes at once
(
    T,
    H,  # natural length of the next step
    NATURAL,  # natural length of this step
    STEP,  # its length
    TARGET,  # time at its end
    GOAL,  # the next requested time
    ENDS,  # whether the step ends there
    SHIFTED,  # times of a stage
    ERROR,  # error of the step in units of the tolerance
    ACCEPTED,
    STEPS,
    REJECTED,
    EVALUATIONS,
    AFTER_REJECTION,
    FAILING,  # consecutive steps with values that are not finite
    SIGNS,  # signs of stiffness
    CALM,  # steps since the last one
    QUICKNESS,  # h |J| of the fastest motion in the step, 0: not known
    STUCK,  # whether the lane cannot take another step
    LEAVES,  # whether the problem is to go on with the implicit method
    BUSY,  # whether there is a problem in the lane
) = range(21)
LANE_NUMBERS = 21

# place: int64 array (2, LANES): the problem in the lane, -1 if there is none, and the index of its next requested time
PROBLEM, NEXT = range(2)

# settings: float64 array
(
    START,
    END,
    RTOL,
    FIRST_STEP,
    MAX_STEP,
    MAX_STEPS,
    PATIENCE,  # leave for the implicit method if more steps than this remain, -1: never
) = range(7)
SETTINGS = 7

# queue: int64 array; problems FOLLOWING, ..., LAST - 1 wait, OPEN says whether more may come, FINISHED have ended, TAKEN are
# in lanes
FOLLOWING, LAST, OPEN, FINISHED, TAKEN = range(5)
QUEUE = 5

# outcome: int64 array (problems, OUTCOMES)
STATUS, OUTPUTS, STEPS_MADE, STEPS_REJECTED, CALLS = range(5)
OUTCOMES = 5
