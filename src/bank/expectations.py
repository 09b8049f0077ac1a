"""What a good model of this data must do, beyond a good average."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mainline.project import Direction, Invariance, Minimum, Robustness, Value

AGE_BANDS = [17, 30, 45, 60, 100]


def age_band(frame: pd.DataFrame) -> pd.Series:
    """Return the age band of each row as text."""
    return pd.cut(frame["age"], AGE_BANDS, labels=["18-30", "31-45", "46-60", "61+"]).astype("str")


SLICES = {
    "contact": lambda frame: frame["contact"],
    "job": lambda frame: frame["job"],
    "housing": lambda frame: frame["housing"],
    "contacted before": lambda frame: frame["pdays"].ge(0).map({True: "yes", False: "no"}),
}

GROUPS = {"age": age_band, "marital": lambda frame: frame["marital"]}

# A deposit is worth so much to the bank; a call costs so much. They set the threshold above which a call pays.
VALUE = Value(gain=80.0, cost=8.0, unit="EUR")


def _hide(frame: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """Blank one in ten values of every column that the model may see."""
    damaged = frame.copy()
    for name in damaged.columns:
        damaged[name] = damaged[name].mask(generator.random(len(damaged)) < 0.1)
    return damaged


def _unseen(frame: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """Give one row in ten a job that no one has seen."""
    return frame.assign(job=frame["job"].mask(generator.random(len(frame)) < 0.1, "astronaut"))


def _noise(frame: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """Shake balances and ages by a tenth of their spread."""
    shaken = {
        name: frame[name] + generator.normal(0, 0.1 * frame[name].std(), len(frame)) for name in ("age", "balance")
    }
    return frame.assign(**shaken)


BEHAVIOURS = (
    Invariance("the length of the call is not looked at", lambda frame: frame.assign(duration=0)),
    Invariance("the calendar is not looked at", lambda frame: frame.assign(day=1, month="jan")),
    Direction("a success in an earlier campaign raises the score", lambda f: f.assign(poutcome="success"), up=True),
    Direction("a housing loan lowers the score", lambda f: f.assign(housing="yes"), up=False),
    Minimum(
        "a student with an earlier success is a better bet than a worker with a loan and no history",
        better=lambda frame: frame.assign(job="student", poutcome="success", housing="no", loan="no"),
        worse=lambda frame: frame.assign(job="blue-collar", poutcome="unknown", housing="yes", loan="yes"),
        margin=0.1,
    ),
    Robustness("one value in ten is missing", _hide, max_loss=0.02),
    Robustness("one job in ten is unknown to the model", _unseen, max_loss=0.01),
    Robustness("numbers shake by a tenth of their spread", _noise, max_loss=0.01),
)
