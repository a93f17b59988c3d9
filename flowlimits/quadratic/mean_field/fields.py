"""The table lists the fields of quadratic networks of infinite width."""

from ...core.fields import Field, Table, array
from ..finite.fields import ABSENT, ACTIVATION, WEIGHT_DECAY

TABLES = {
    "MeanFieldQuadratic": Table(
        (
            array("teacher_eigenvalues", "Eigenvalues of Z* = W*^T W* / (k d), such as 1,1,0,0.", ("d",)),
            Field("start", "number_or_array", "E[w w^T]/d at the start, as a multiple of the identity."),
            ACTIVATION,
            WEIGHT_DECAY,
            array("covariance", "Covariance of the inputs in the teacher's eigenbasis.", None, None),
        ),
        ABSENT,
        size="student_width",
        size_help="Number of student neurons.",
    ),
}
