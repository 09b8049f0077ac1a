"""The label as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mainline.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mainline.config import Settings
    from mainline.project import Marks


def classes(marks: Mapping[str, Marks], settings: Settings, frame: pd.DataFrame) -> tuple[str, ...] | None:
    """Return the classes of ``frame`` in the order of their codes: the schema's, else sorted; regression: None.

    A binary task has the positive class last.
    """
    if settings.model.task == "regression":
        return None
    label = settings.data.label
    present = set(as_text(frame[label]).dropna().unique())
    found = tuple(value for value in marks[label].one_of if value in present) or tuple(sorted(present))
    if settings.model.task == "binary":
        return (*(value for value in found if value != settings.data.positive), str(settings.data.positive))
    return found


def as_text(values: pd.Series) -> pd.Series:
    """Return labels as text, missing ones missing; 1.0 is "1", because one missing whole number makes all of them
    floats.
    """
    known = values.dropna()
    if pd.api.types.is_float_dtype(known) and known.mod(1).eq(0).all():
        known = known.astype("int64")
    return known.astype("str").reindex(values.index)


def encode(frame: pd.DataFrame, settings: Settings, names: tuple[str, ...] | None) -> NDArray[np.generic]:
    """Return the label ``(n,)``: class codes (int64) in the order of ``names``, or values (float64) for regression.

    Raises:
        UserError: a label is not among ``names``, or is missing.
    """
    values = frame[settings.data.label]
    if names is None:
        return values.to_numpy(dtype=np.float64)
    codes = pd.Index(names).get_indexer(pd.Index(as_text(values)))
    if (codes < 0).any():
        strange = sorted(map(str, values[codes < 0].unique()))
        raise UserError(
            f"{settings.data.label}: {', '.join(strange[:5])}: not among the classes {', '.join(names)}",
            "mend the batch, or add the class to the schema's vocabulary",
        )
    return codes.astype(np.int64)
