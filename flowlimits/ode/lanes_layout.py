"""Where the loop over lanes keeps its numbers (compiled part).

Sixteen problems lie side by side, one in each lane.  Their states, slopes and what else a step needs are the rows of
one array, the board: a row holds the first component of all lanes, then the second, and so on.  With a length of the
inner loops that is known when they are compiled, and rows that do not interleave, they compile to vector instructions.
"""

LANES = 16

# rows of the board, a float64 array (ROWS, n * LANES); the last stages take the rows of slopes that are no longer needed
Y, NEW, POINT, LENGTH, ABSOLUTE, FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH = range(11)
K0, K1, K2, K3, K4, K5, K6, K7, K8, K9, K10 = range(11, 22)
K11, K12 = K1, K2
ROWS = 22

# lane: float64 array (LANE_NUMBERS,); counts are numbers too, so that decisions are taken for all lanes at once
(
    T,
    H,  # natural length of the next step
    MEMORY,  # error of the last step
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
    AT_LIMIT,  # whether stability seems to limit the step
    STUCK,  # whether the lane cannot take another step
    LEAVES,  # whether the problem is to go on with the implicit method
    BUSY,  # whether there is a problem in the lane
) = range(0, 22 * LANES, LANES)
LANE_NUMBERS = 22 * LANES

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
