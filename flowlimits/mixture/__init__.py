"""XOR and Gaussian mixtures: the flow of a ReLU network on four clusters with alternating labels."""
