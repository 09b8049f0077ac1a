"""The estimator and its search space."""

from __future__ import annotations

from sklearn.linear_model import LogisticRegression

SPACE = {"C": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]}


def build(seed: int, *, C: float = 1.0) -> LogisticRegression:
    """Return an unfitted logistic regression; ``C`` is the inverse strength of its L2 penalty."""
    return LogisticRegression(C=C, max_iter=2000, random_state=seed)
