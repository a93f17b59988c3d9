"""Networks of infinite width with any activation: the law of one unit moves along characteristics."""
