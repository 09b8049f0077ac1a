"""What a model is worth on the test window: metrics with intervals, slices, behaviour, value, fairness, gates."""
