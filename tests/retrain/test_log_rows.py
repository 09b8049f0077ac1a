from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mainline.config import Settings
from mainline.errors import UserError
from mainline.project import Marks, load_schema
from mainline.retrain.batches import choose, describe, fetch
from mainline.retrain.log_rows import FIX, batch_of, check_columns, gather

MARKS = {"contact_date": Marks(), "age": Marks(), "job": Marks(), "y": Marks(known="after", one_of=("no", "yes"))}


def write_log(folder: Path, days: list[str], now_known: list[str | None]) -> None:
    folder.mkdir()
    lines = []
    for number, (day, outcome) in enumerate(zip(days, now_known, strict=True)):
        same = {"request_id": f"r-{number}", "row": 0}
        features = {"age": 30 + number, "job": "admin."}
        lines.append({"kind": "prediction", "time": f"{day}T10:00:00.000Z", "track": "stable", **same, "score": 0.1,
                      "release": "x", "decision": False, "latency_ms": 1.0, "features": features})  # fmt: skip
        if outcome is not None:
            lines.append({"kind": "feedback", "time": f"{day}T11:00:00.000Z", **same, "outcome": outcome})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "20090601T000000-1-aaaaaaaa.jsonl").write_text(text, encoding="utf-8")


def test_matured_rows_with_an_outcome_become_a_batch(
    tmp_path: Path, settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a project whose log keeps all, data to 31 May, and one row each: known before, matured, open, too young
    monkeypatch.setattr("mainline.project.load_schema", lambda name: (None, MARKS))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("contact_date,age,job,y\n2009-05-31,20,admin.,no\n", encoding="utf-8")
    days = ["2009-05-30", "2009-06-10", "2009-06-11", "2009-06-25"]
    write_log(tmp_path / "log", days, ["no", "yes", None, "no"])
    files, about = gather(
        str(tmp_path / "log"), settings_for(), tmp_path / "data", dt.date(2009, 6, 30), tmp_path / "in"
    )
    (file,) = files
    assert file.name == "log-2009-06-10-2009-06-10.csv" and about.startswith("1 of 2 matured predictions")
    (row,) = pd.read_csv(file).to_dict("records")
    assert (row["age"], row["job"], row["y"]) == (31, "admin.", "yes") and row["contact_date"].startswith("2009-06-10")
    later = gather(str(tmp_path / "log"), settings_for(), tmp_path / "data", dt.date(2009, 6, 20), tmp_path / "in")
    assert later == ([], "0 of 0 matured predictions have an outcome")


def test_a_log_without_whole_rows_says_which_columns_it_lacks(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for()
    _, marks = load_schema("bank")
    labelled = pd.DataFrame(
        {
            "time": pd.to_datetime(["2009-06-10"], utc=True),
            "features": [{"age": 30, "row_id": "sha256:x"}],
            "outcome": "no",
        }
    )
    with pytest.raises(UserError, match=r"does not have job, .*duration.* and has row_id only hashed") as caught:
        batch_of(labelled, marks, settings)
    assert caught.value.fix == FIX
    check_columns(MARKS, {"age", "job"}, settings)


def test_batches_come_from_an_object_store_too(settings_for: Callable[..., Settings], tmp_path: Path) -> None:
    import fsspec  # type: ignore[import-untyped]

    fs: Any = fsspec.filesystem("memory")
    for name in ("b.csv", "a.csv", "README.md", ".hidden.csv"):
        month = "07" if name == "a.csv" else "06"
        fs.pipe(f"/inbox/{name}", f"contact_date,y\n2009-{month}-01,yes\n2009-{month}-02,no\n".encode())
    files = fetch("memory://inbox", tmp_path)
    found = [describe(file, settings_for()) for file in files]
    assert [(item.name, item.rows, item.positives) for item in found] == [("a.csv", 2, 1), ("b.csv", 2, 1)]
    assert [item.name for item in choose(found, None, None)] == ["b.csv", "a.csv"]
    assert [item.name for item in choose(found, None, 1)] == ["b.csv"]
    assert [item.name for item in choose(found, dt.date(2009, 7, 1), None)] == ["b.csv"]
    with pytest.raises(UserError, match="no such folder"):
        fetch("memory://nowhere", tmp_path)
