"""What `validate` finds on batches of a small schema; the bank's bad inputs stand in tests/pipeline."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from mainline.data.validate import validate
from mainline.errors import UserError
from mainline.project import column


class Row(pa.DataFrameModel):
    key: int = column()
    when: pd.Timestamp = column()
    size: float = column(ge=0, nullable=True)
    word: str = column()
    y: str = column(nullable=True)


def rows(month: int, first: int, size: int = 60, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng([seed, first])
    days = pd.Timestamp(2020, month, 1) + pd.to_timedelta(np.sort(generator.integers(0, 28, size)), unit="D")
    return pd.DataFrame(
        {
            "key": range(first, first + size),
            "when": days.strftime("%Y-%m-%d"),
            "size": generator.exponential(size=size).round(3),
            "word": generator.choice(["a", "b"], size),
            "y": generator.choice(["no", "yes"], size),
        }
    )


@pytest.fixture
def check(tmp_path: Path, settings_for):
    """Return a function that validates frames, written as 01.csv, 02.csv …, with keys of ``data`` changed."""

    def run(*batches: pd.DataFrame, task: str = "binary", names: str = "", **keys):
        usual = {"id": "key", "time": "when", "label": "y", "as_of": None, "checks__max_age_days": None}
        usual |= {"positive": "yes" if task == "binary" else None}
        settings = settings_for(model__task=task, **{f"data__{key}": value for key, value in {**usual, **keys}.items()})
        folder = tmp_path / "batches"
        folder.mkdir()
        for index, frame in enumerate(batches):
            name = names[index] if names else f"{index + 1:02d}"
            frame.to_csv(folder / f"{name}.csv", index=False)
        return validate(folder, Row.to_schema(), settings.data, task)

    return run


def told(found) -> list[tuple[str, str, str, int]]:
    return [(item.column, item.check, item.batch, item.line) for item in found.violations]


def five(size: int = 60) -> list[pd.DataFrame]:
    return [rows(month, 1 + size * (month - 1), size) for month in range(1, 6)]


def test_sound_batches_pass_and_are_summed_up(check) -> None:
    found = check(*five())
    assert found.passed and found.violations == [] and found.lost == [
        "Too few batches to know how much a column moves by itself: the newest batch's shift is not judged."
    ]  # fmt: skip
    assert len(found.rows) == 300 and list(found.rows.columns) == [*Row.to_schema().columns, "_batch", "_line"]
    first = found.batches[0]
    assert (first["file"], first["rows"], len(first["sha256"])) == ("01.csv", 60, 64)
    assert first["from"] == "2020-01-01" and first["to"].startswith("2020-01-2")
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(record) == {"passed", "rows", "batches", "violations", "distribution", "lost"}
    assert [item["column"] for item in record["distribution"]] == ["size", "word", "y"], "neither id nor time"


def test_a_setting_that_names_no_column_is_refused(check) -> None:
    with pytest.raises(UserError, match="data.time: the schema has no column 'day'"):
        check(*five(), time="day")


def test_a_warning_does_not_stop_and_off_does_not_look(check, tmp_path: Path) -> None:
    shifted = [*five(240)[:4], five(240)[4].assign(word="a")]
    stopped = check(*shifted)
    assert not stopped.passed
    (violation,) = stopped.violations
    assert (violation.column, violation.batch, violation.level) == ("word", "05.csv", "error")
    assert "most grown: a: " in violation.hint and "100.0% now" in violation.hint
    (tmp_path / "batches").rename(tmp_path / "first")
    warned = check(*shifted, checks__distribution="warn")
    assert warned.passed and [item.level for item in warned.violations] == ["warning"]
    (tmp_path / "batches").rename(tmp_path / "second")
    silent = check(*shifted, checks__distribution="off")
    assert silent.passed and silent.violations == [] and silent.distribution == []


def test_the_newest_batch_is_the_newest_by_time_not_by_name(check) -> None:
    parts = five(240)
    found = check(*parts[:4], parts[4].assign(word="a"), names="bcdea")
    assert [item.batch for item in found.violations] == ["a.csv"]


def test_bins_come_from_the_earlier_batches_alone(check) -> None:
    parts = five(240)
    newest = parts[4].assign(word=np.where(np.arange(240) % 2, "new", parts[4]["word"]))
    found = check(*parts[:4], newest)
    assert "most grown: (other): 0.0% before, 50.0% now" in found.violations[0].hint


def test_all_batches_that_cannot_be_read_are_told_at_once(check, tmp_path: Path) -> None:
    found = check(pd.DataFrame(), pd.DataFrame())
    assert not found.passed and found.to_dict()["rows"] == 0
    assert [item.batch for item in found.violations] == ["01.csv", "02.csv"]


def test_a_header_alone_is_told(check) -> None:
    found = check(rows(1, 1, 0))
    assert ("", "header only, no rows", "01.csv", 1) in told(found) and not found.passed


def test_the_first_of_each_duplicate_is_named(check) -> None:
    first, second = rows(1, 1), rows(2, 61)
    second.loc[3, "key"] = 7
    found = check(first, second)
    assert told(found) == [("key", "is not unique", "02.csv", 5)]
    assert found.violations[0].hint == "first seen in 01.csv:8; keep one of the two"


def test_clock(check) -> None:
    # Given an as-of date in February: March is later, and February's rows are visible
    found = check(rows(1, 1), rows(2, 61), rows(3, 121), as_of="2020-02-20")
    assert [(item.batch, item.check.split(" (")[0]) for item in found.violations] == [
        ("03.csv", "the whole batch is later than the as-of date 2020-02-20")
    ]


@pytest.mark.parametrize(("oldest", "passed"), [(30, True), (29, False)])
def test_freshness_to_the_day(oldest: int, passed: bool, check) -> None:
    newest = rows(1, 1)
    newest.loc[59, "when"] = "2020-01-30"
    found = check(newest, as_of="2020-02-29", checks__max_age_days=oldest)
    assert found.passed is passed
    assert passed or "30 days older than the as-of date 2020-02-29, more than 29" in found.violations[0].check


def test_tomorrow_is_not_yet_the_future_because_of_time_zones(check, tmp_path: Path) -> None:
    today = dt.datetime.now(dt.UTC).date()
    for days, passed in ((1, True), (2, False)):
        frame = rows(1, 1)
        frame.loc[59, "when"] = str(today + dt.timedelta(days=days))
        assert check(frame).passed is passed
        (tmp_path / "batches").rename(tmp_path / f"done {days}")


def test_a_late_row_is_refused_or_accepted(check, tmp_path: Path) -> None:
    late = rows(2, 61)
    late.loc[0, "when"] = "2020-01-02"
    found = check(rows(1, 1), late)
    assert [item[::2] for item in told(found)] == [("when", "02.csv")]
    assert "batches overlap" in found.violations[0].check and found.violations[0].count == 1
    (tmp_path / "batches").rename(tmp_path / "first")
    assert check(rows(1, 1), late, checks__late_rows="accept").passed


@pytest.mark.parametrize(
    ("labels", "task", "words"),
    [
        (["no"], "binary", "only one value in all rows: ['no']"),
        ([None], "multiclass", "no value in any row"),
        (["no", "yes", "maybe"], "binary", "a binary task needs two values, one of them 'yes'; found maybe, no, yes"),
        (["no", "ja"], "binary", "one of them 'yes'; found ja, no"),
    ],
)
def test_labels_that_cannot_be_learned(labels, task, words, check) -> None:
    frame = rows(1, 1).assign(y=(labels * 60)[:60])
    (violation,) = check(frame, task=task).violations
    assert violation.column == "y" and words in violation.check


def test_three_labels_are_fine_for_several_classes_and_missing_ones_are_no_class(check) -> None:
    assert check(rows(1, 1).assign(y=["no", "yes", "maybe", None] * 15), task="multiclass").passed


def test_outcomes_that_are_not_known_yet_are_no_shift(check) -> None:
    parts = five(240)
    parts[4].loc[parts[4].index > 100, "y"] = None
    found = check(*parts)
    assert found.passed, found.violations


def test_whole_number_labels_of_which_some_are_missing(tmp_path: Path, settings_for) -> None:
    class Numbered(pa.DataFrameModel):
        y: int = column(nullable=True)

    (tmp_path / "01.csv").write_text("y\n" + "0\n1\n" * 20 + '""\n' * 5)
    keys = {"id": None, "time": None, "label": "y", "positive": "1", "as_of": None}
    data = settings_for(**{f"data__{key}": value for key, value in keys.items()}).data
    found = validate(tmp_path, Numbered.to_schema(), data, "binary")
    assert found.passed, found.violations


def test_what_is_lost_without_key_time_and_company(check) -> None:
    found = check(rows(1, 1), id=None, time=None)
    assert found.passed
    assert found.batches[0]["from"] is None
    assert [sentence.split(":")[0] for sentence in found.lost] == ["No id column", "No time column", "One batch only"]


def test_a_column_that_always_moves_is_said_to_be_unjudged(check) -> None:
    parts = [part.assign(word=f"word {index}") for index, part in enumerate(five(240))]
    found = check(*parts)
    assert found.passed
    assert found.lost == ["Moved too much before for any shift to count: word."]
