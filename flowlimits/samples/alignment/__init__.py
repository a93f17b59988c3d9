"""Early alignment of the hidden units of a ReLU network with a small start: the problem `EarlyAlignment`."""
