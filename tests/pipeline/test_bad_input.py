"""Every bad input that a user may bring: it is stopped, in words that name file, line, column, value and the fix."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

NEWEST = "2009-05.csv"
Edit = Callable[[Any], None]


def rows_edit(edit: Callable[[pd.DataFrame], pd.DataFrame], batch: str = NEWEST) -> Edit:
    def apply(scratch: Any) -> None:
        scratch.batches[batch] = edit(scratch.batches[batch].copy())
        scratch.write()

    return apply


def bytes_edit(edit: Callable[[bytes], bytes]) -> Edit:
    def apply(scratch: Any) -> None:
        path: Path = scratch.file(NEWEST)
        path.write_bytes(edit(path.read_bytes()))

    return apply


def put(column: str, row: int, value: Any) -> Edit:
    def edit(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.astype({column: object})
        rows.loc[row, column] = value
        return rows

    return rows_edit(edit)


def add_copy_of_first(scratch: Any) -> None:
    scratch.batches["2009-06.csv"] = scratch.batches["2009-01.csv"].assign(contact_date="2009-05-30")
    scratch.write()


STOPPED: dict[str, tuple[Edit, list[str]]] = {
    "empty file": (bytes_edit(lambda _: b""), ["data/2009-05.csv:1", "is empty, not even a header"]),
    "header only": (
        bytes_edit(lambda text: text.split(b"\n")[0] + b"\n"),
        ["data/2009-05.csv:1", "header only, no rows"],
    ),
    "missing column": (
        rows_edit(lambda rows: rows.drop(columns="job")),
        ["data/2009-05.csv:1", "job", "column is missing"],
    ),
    "extra column": (
        rows_edit(lambda rows: rows.assign(income=1)),
        ["data/2009-05.csv:1", "income", "column is not in the schema"],
    ),
    "semicolons": (
        bytes_edit(lambda text: text.replace(b",", b";")),
        ["data/2009-05.csv:1", "fields are separated by semicolons", "UTF-8 text, commas"],
    ),
    "not UTF-8": (
        bytes_edit(lambda text: text.replace(b"married", b"mari\xe9", 1)),
        ["data/2009-05.csv:", "byte 0xe9 is not UTF-8"],
    ),
    "ragged line": (
        bytes_edit(lambda text: text + b"1,2,3\n"),
        ["data/2009-05.csv:242", "3 fields where the header has 19"],
    ),
    "damaged gzip": (bytes_edit(lambda text: gzip.compress(text)[:-20]), ["damaged gzip file"]),
    "renamed category": (
        rows_edit(lambda rows: rows.assign(contact=rows["contact"].str.replace("cellular", "CELLULAR"))),
        ["contact", "CELLULAR", "is not one of cellular, telephone, unknown", "looks like a renamed 'cellular'"],
    ),
    "negative age": (put("age", 7, -3), ["data/2009-05.csv:9", "age", "is below 18", "-3"]),
    "age in words": (put("age", 7, "n/a"), ["data/2009-05.csv:9", "age", "is not a whole number", "n/a"]),
    "age with a fraction": (put("age", 7, 30.5), ["data/2009-05.csv:9", "is not a whole number", "30.5"]),
    "huge balance": (put("balance", 0, "1e12"), ["data/2009-05.csv:2", "balance", "is above 1000000", "1000000000000"]),
    "not a date": (put("contact_date", 0, "31/05/2009"), ["contact_date", "is not a date like 2009-05-31"]),
    "one class": (
        lambda scratch: [rows_edit(lambda rows: rows.assign(y="no"), name)(scratch) for name in list(scratch.batches)],
        ["y", "only one value in all rows: ['no']"],
    ),
    "duplicate within a batch": (
        put("row_id", 5, 4 * 240 + 1),
        ["data/2009-05.csv:7", "row_id", "is not unique", "first seen in 2009-05.csv:2"],
    ),
    "duplicate across batches": (
        add_copy_of_first,
        ["data/2009-06.csv:2", "row_id", "is not unique", "first seen in 2009-01.csv:2"],
    ),
    "batch later than the as-of date": (
        rows_edit(lambda rows: rows.assign(contact_date="2009-07-01")),
        ["data/2009-05.csv", "the whole batch is later than the as-of date 2009-05-31", "move data.as_of on"],
    ),
    "batch from the future": (
        put("contact_date", 0, "2999-01-01"),
        ["data/2009-05.csv:2", "contact_date", "is in the future", "2999-01-01"],
    ),
    "overlapping batches": (
        put("contact_date", 0, "2009-02-03"),
        ["data/2009-05.csv:2", "contact_date", "batches overlap", "data.checks.late_rows"],
    ),
    "a third of a column missing": (
        rows_edit(lambda rows: rows.assign(job=rows["job"].where(rows.index % 3 > 0))),
        ["data/2009-05.csv:2", "job", "is missing", "80"],
    ),
    "stale data": (
        lambda scratch: scratch.file(NEWEST).unlink() or scratch.file("2009-04.csv").unlink(),
        ["the newest row is", "days older than the as-of date", "data.checks.max_age_days"],
    ),
    "too few rows": (rows_edit(lambda rows: rows.head(4)), ["data/2009-05.csv:1", "4 rows, fewer than 10"]),
    "another distribution": (
        rows_edit(lambda rows: rows.assign(poutcome="failure")),
        ["poutcome", "the newest batch differs from the earlier ones", "most grown: failure"],
    ),
}


@pytest.mark.parametrize("fault", STOPPED)
def test_bad_batch_is_stopped_before_training(fault: str, scratch: Any) -> None:
    # Given sound batches that pass, and one fault
    assert scratch.run("validate")[0] == 0
    edit, words = STOPPED[fault]
    edit(scratch)
    # When they are validated
    code, output = scratch.run("validate")
    # Then the pipeline stops there, with these words, and nothing is handed on
    for word in words:
        assert word in output, output
    assert code == 1
    assert not (scratch.folder / "artifacts" / "rows.parquet").exists()


def test_all_faults_are_told_at_once_with_annotations(scratch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for fault in ("renamed category", "negative age", "extra column"):
        STOPPED[fault][0](scratch)
    code, output = scratch.run("validate")
    assert code == 1
    assert "::error file=data/2009-05.csv,line=9::age: is below 18: -3 (1 row, 0.1%25)" in output
    assert "CELLULAR" in output and "income" in output


ACCEPTED: dict[str, Edit] = {
    "reordered columns": rows_edit(lambda rows: rows[rows.columns[::-1]]),
    "CRLF": bytes_edit(lambda text: text.replace(b"\n", b"\r\n")),
    "byte-order mark": bytes_edit(lambda text: b"\xef\xbb\xbf" + text),
    "gzip": bytes_edit(gzip.compress),
    "no newline at the end": bytes_edit(lambda text: text.rstrip(b"\n")),
}


@pytest.mark.parametrize("variant", ACCEPTED)
def test_harmless_variants_give_the_same_rows(variant: str, scratch: Any) -> None:
    scratch.run("validate")
    plain = pd.read_parquet(scratch.folder / "artifacts" / "rows.parquet")
    ACCEPTED[variant](scratch)
    code, output = scratch.run("validate")
    assert code == 0, output
    pd.testing.assert_frame_equal(pd.read_parquet(scratch.folder / "artifacts" / "rows.parquet"), plain)


def test_gzip_may_be_named_so(scratch: Any) -> None:
    path = scratch.file(NEWEST)
    path.with_name("2009-05.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert scratch.run("validate")[0] == 0


def test_late_rows_can_be_accepted(scratch: Any, change: Any) -> None:
    STOPPED["overlapping batches"][0](scratch)
    change(data__checks=scratch.params["data"]["checks"] | {"late_rows": "accept"})
    assert scratch.run("validate")[0] == 0


SETTINGS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "unknown key": ({"data__as_off": None}, "validate", ["params.yaml: data.as_off: unknown key"]),
    "wrong type": ({"model__seed": "seven"}, "validate", ["params.yaml: model.seed: ", "integer", "'seven'"]),
    "two at once": ({"model__seed": "x", "data__idd": 1}, "validate", ["model.seed", "data.idd"]),
    "no such column": ({"data__id": "client"}, "validate", ["data.id: the schema has no column 'client'"]),
    "no such project": ({"project": "shop"}, "validate", ["no module shop.schema", "src/shop/schema.py"]),
    "no such folder": ({"data__batches": "dota"}, "validate", ["dota: no such folder", "data.batches"]),
    "date without quotes": (
        {"data__as_of": pd.Timestamp("2009-05-31").date()},
        "validate",
        ["data.as_of", "dates stand in quotes"],
    ),
    "date that is none": ({"data__as_of": "31 May"}, "validate", ["data.as_of", "31 May"]),
    "as-of before the first batch": (
        {"data__as_of": "2008-01-01"},
        "validate",
        ["the as-of date 2008-01-01 is before the first batch"],
    ),
    "test window longer than the data": (
        {"data__test_window_days": 400},
        "split",
        ["no row is left to train on", "test_window_days 400", "the data run from 2009-01-01 to 2009-05-28"],
    ),
    "label delay longer than the data": (
        {"data__label_delay_days": 300},
        "split",
        ["no row is left to", "label_delay_days 300"],
    ),
    "dropped column that is none": (
        {"features__drop": ["colour"]},
        "train",
        ["features.drop: 'colour' is not a feature"],
    ),
    "unknown argument of the estimator": (
        {"model__estimator": {"depth": 3}},
        "train",
        ["model.estimator {'depth': 3}", "src/bank/model.py"],
    ),
    "unknown metric": ({"evaluate__primary": "f2"}, "evaluate", ["evaluate.primary", "f2", "log_loss"]),
}


@pytest.mark.parametrize("fault", SETTINGS)
def test_bad_settings_are_named(fault: str, scratch: Any, change: Any) -> None:
    keys, command, words = SETTINGS[fault]
    stages = ["validate", "split", "train", "evaluate"]
    for stage in stages[: stages.index(command)]:
        assert scratch.run(stage)[0] == 0
    change(**keys)
    code, output = scratch.run(command)
    for word in words:
        assert word in output, output
    assert code == 1


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("y", "y: is the label itself"),
        ("duration", "duration: known only after the event"),
        ("row_id", "row_id: is the row's id"),
    ],
)
def test_a_feature_that_knows_the_answer_stops_training(
    column: str, words: str, scratch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bank.features

    scratch.run("validate")
    scratch.run("split")
    monkeypatch.setattr(bank.features, "COLUMNS", (*bank.features.COLUMNS, column))
    code, output = scratch.run("train")
    assert code == 1 and words in output and "COLUMNS" in output


def test_a_feature_that_separates_too_well_stops_training(scratch: Any) -> None:
    # Given a balance that, by accident of the export, was filled from the outcome
    for name, rows in scratch.batches.items():
        scratch.batches[name] = rows.assign(balance=rows["balance"].where(rows["y"] == "no", 9000 + rows["age"]))
    scratch.write()
    scratch.run("validate")
    scratch.run("split")
    # When it is trained on
    code, output = scratch.run("train")
    # Then it stops
    assert code == 1 and "balance: alone separates the target at" in output
    assert not (scratch.folder / "artifacts" / "model.skops").exists()


def test_missing_params_file(scratch: Any) -> None:
    (scratch.folder / "params.yaml").unlink()
    code, output = scratch.run("validate")
    assert code == 1 and "params.yaml: not there" in output


def test_stage_without_its_input_says_what_to_run(scratch: Any) -> None:
    code, output = scratch.run("train")
    assert code == 1 and "artifacts/train.parquet: not there" in output and "dvc repro" in output


def test_other_files_among_the_batches_are_refused(scratch: Any) -> None:
    scratch.file("2009-06.xlsx").write_bytes(b"PK")
    code, output = scratch.run("validate")
    assert code == 1 and "data/2009-06.xlsx: not a batch" in output


def test_folders_and_dead_links_among_the_batches_are_refused(scratch: Any) -> None:
    (scratch.folder / "data" / "old.csv").mkdir()
    code, output = scratch.run("validate")
    assert code == 1 and "data/old.csv: not a batch" in output
    (scratch.folder / "data" / "old.csv").rmdir()
    (scratch.folder / "data" / "old.csv").symlink_to("nowhere.csv")
    code, output = scratch.run("validate")
    assert code == 1 and "data/old.csv: a link to nothing" in output
