"""The reference profile: what the model's inputs and outputs looked like when it was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mainline.data.profile import Profile, count, make_bins
from mainline.data.redact import redact_columns
from mainline.project import scores

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mainline.project import Marks

SCORE = "(score)"
# Of the span between the outer quantiles; at 0 the outermost values of a stable month would be out of range already.
MARGIN = 0.25


def reference_profile(
    rows: pd.DataFrame, model: Any, columns: Sequence[str], marks: Mapping[str, Marks], quantiles: int
) -> Profile:
    """Return the profile of the features ``columns`` and of the model's scores on ``rows``, personal values redacted.

    Several classes: one score column a class, ``(score) 0`` and so on.
    """
    found = scores(model, rows)
    named = (
        {SCORE: found} if found.ndim == 1 else {f"{SCORE} {index}": found[:, index] for index in range(found.shape[1])}
    )
    # Six digits are finer than any bin, and keep the bytes free of the last bit of a sum.
    frame = redact_columns(rows[list(columns)], marks).assign(
        **{name: np.round(values, 6) for name, values in named.items()}
    )
    return count(frame, make_bins(frame, list(frame.columns), quantiles, MARGIN))


def prior(target: NDArray[np.generic], names: Sequence[str] | None) -> Any:
    """Return the constant prediction of the training rows: P(positive), a list of class shares, or the mean."""
    if names is None or len(names) == 2:
        return round(float(np.mean(target.astype(np.float64))), 6)
    return [
        round(float(share), 6) for share in np.bincount(target.astype(np.int64), minlength=len(names)) / len(target)
    ]
