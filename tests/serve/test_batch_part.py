"""What a part gives for each kind of task, by a scorer whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandera.pandas as pa
import pyarrow as arrow
import pytest

from mainline.errors import UserError
from mainline.project import column
from mainline.serve import batch_part
from mainline.serve.batch_input import find_sources, make_parts
from mainline.serve.batch_model import BatchModel, interval_columns
from mainline.serve.batch_part import Job, score_part
from mainline.serve.request import make_checker


class Row(pa.DataFrameModel):
    key: str = column(pii="hash")
    x: float = column(ge=0, nullable=True)
    word: str = column(one_of=("a", "b"))
    y: str = column(known="after")


@dataclass(frozen=True)
class Fixed:
    """Scores x itself, spread over so many classes."""

    classes: int
    inputs: tuple[Mapping[str, str], ...] = ({"name": "x", "kind": "number"}, {"name": "word", "kind": "text"})
    refused: tuple[tuple[str, str], ...] = ()
    path: str = "exact"

    def score(self, columns: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        x = np.nan_to_num(np.asarray(columns["x"], dtype=float), nan=0.5)
        return x if self.classes < 3 else np.column_stack([x, (1 - x) / 3, 2 * (1 - x) / 3])

    score_rows = score


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, list[Any]]]:
    """Return a function that scores four rows (one of them refused) for a task; columns as lists."""
    path = tmp_path / "in.csv"
    path.write_text("key,x,word\nk1,0.9,a\nk2,,b\nk3,0.1,c\nk4,0.2,a\n")
    marks = {name: (item.metadata or {})["mainline"] for name, item in Row.to_schema().columns.items()}

    def made(task: Any, classes: tuple[str, ...], with_id: bool = True) -> dict[str, list[Any]]:
        checker = make_checker(Row, marks, ("x", "word"), "y")
        model = BatchModel(Fixed(len(classes)), checker, frozenset(), frozenset("y"), interval_columns(checker, Row),
                           task, classes, 0.5, "key")  # fmt: skip
        monkeypatch.setattr(batch_part, "load_batch_model", lambda mark: model)
        (part,) = make_parts(find_sources(str(path)), 1000, tmp_path)
        done = score_part(part, Job("mark", "rel", with_id))
        assert (done.rows, done.rejected) == (4, 1)
        assert done.rejects.decode() == f"{path},4,word,c,is not allowed\n"
        found: dict[str, list[Any]] = arrow.ipc.open_stream(done.scored).read_all().to_pydict()
        return found

    return made


def test_binary(run) -> None:
    assert run("binary", ("no", "yes")) == {
        "key": ["k1", "k2", "k4"],
        "probability": [0.9, 0.5, 0.2],
        "decision": [True, True, False],
        "release": ["rel"] * 3,
    }


def test_three_classes(run) -> None:
    found = run("multiclass", ("low", "mid", "high"))
    assert list(found) == ["key", "probability_low", "probability_mid", "probability_high", "decision", "release"]
    assert found["decision"] == ["low", "low", "high"]
    assert found["probability_high"] == pytest.approx([0.2 / 3, 1 / 3, 1.6 / 3])


def test_two_classes_of_a_multiclass_task(run) -> None:
    found = run("multiclass", ("low", "high"))
    assert found["probability_low"] == pytest.approx([0.1, 0.5, 0.8]) and found["decision"] == ["high", "low", "low"]


def test_regression_without_an_id(run, tmp_path: Path) -> None:
    assert run("regression", (), with_id=False) == {
        "file": [str(tmp_path / "in.csv")] * 3, "line": [2, 3, 5], "value": [0.9, 0.5, 0.2], "release": ["rel"] * 3,
    }  # fmt: skip


def test_a_file_that_shrank_is_told(run, tmp_path: Path) -> None:
    run("regression", ())
    (part,) = make_parts(find_sources(str(tmp_path / "in.csv")), 1000, tmp_path)
    (tmp_path / "in.csv").write_text("key,x,word\nk1,0.9,a\n")
    with pytest.raises(UserError, match="is shorter than it was"):
        score_part(part, Job("mark", "rel", True))


def test_a_name_with_the_signs_of_a_pattern_is_a_name(tmp_path: Path) -> None:
    for name in ("a[1].csv", "a1.csv"):
        (tmp_path / name).write_text("x\n1\n")
    assert [source.name for source in find_sources(f"{tmp_path}/a[1].csv")] == [f"{tmp_path}/a[1].csv"]
    assert len(find_sources(f"{tmp_path}/a?.csv")) == 1 and len(find_sources(f"{tmp_path}/a*.csv")) == 2
