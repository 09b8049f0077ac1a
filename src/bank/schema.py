"""What a valid raw row is: one call of the bank's campaign, as it is known when the batch is delivered."""

from __future__ import annotations

import datetime as dt

import pandera.pandas as pa

from mainline.project import column

YES_NO = ("no", "yes")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class Row(pa.DataFrameModel):
    """One contact with one client."""

    row_id: int = column(ge=1, pii="hash")
    contact_date: dt.datetime = column()
    age: int = column(ge=18, le=100, protected=True)
    job: str = column(
        one_of=(
            "admin.", "blue-collar", "entrepreneur", "housemaid", "management", "retired",
            "self-employed", "services", "student", "technician", "unemployed", "unknown",
        )
    )  # fmt: skip
    marital: str = column(one_of=("divorced", "married", "single"), protected=True)
    education: str = column(one_of=("primary", "secondary", "tertiary", "unknown"))
    default: str = column(one_of=YES_NO)
    balance: int = column(ge=-100_000, le=1_000_000)
    housing: str = column(one_of=YES_NO)
    loan: str = column(one_of=YES_NO)
    contact: str = column(one_of=("cellular", "telephone", "unknown"))
    day: int = column(ge=1, le=31)
    month: str = column(one_of=MONTHS)
    duration: int = column(ge=0, le=86_400, known="after")
    campaign: int = column(ge=1, le=100)
    pdays: int = column(ge=-1, le=3_650)
    previous: int = column(ge=0, le=500)
    poutcome: str = column(one_of=("failure", "other", "success", "unknown"))
    y: str = column(one_of=YES_NO, known="after")

    class Config:
        strict = True
