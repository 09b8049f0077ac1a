"""Logs, CSV and Parquet give the same profiles; parts, blocks and workers do not change them."""

from __future__ import annotations

import datetime as dt
import gzip
import json

import fsspec
import pandas as pd
import pytest

from mainline.data.profile import Profile
from mainline.errors import UserError
from mainline.monitor import build, lines, source
from mainline.monitor.build import Scan, scan
from mainline.monitor.drift import LATENCY
from mainline.monitor.profile import watched_bins

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")


@pytest.fixture(scope="module")
def rows(draw) -> pd.DataFrame:
    made = draw(1, 900).round(4)
    return made.assign(when=[f"{DAYS[index // 300]}T{index % 24:02d}:00:00" for index in range(900)])


@pytest.fixture
def records(rows, record):
    columns = ["age", "visits", "colour"]
    features = rows[columns].to_dict("records")
    return [
        record(index, f"{when}.000Z", features=features[index], score=score, latency_ms=None)
        for index, (when, score) in enumerate(zip(rows["when"], rows["(score)"], strict=True))
    ]


@pytest.fixture
def scanning(reference: Profile) -> Scan:
    return Scan(bins=watched_bins(reference), length="day")


def dicts(found) -> dict:
    return {name: watched.to_dict() for name, watched in sorted(found.windows.items())}


def table_scan(scanning: Scan) -> Scan:
    return Scan(bins=scanning.bins, length="day", time="when", score="(score)")


def test_every_format_gives_the_same(tmp_path, rows, records, scanning, write) -> None:
    write(tmp_path / "log" / "a.jsonl", records[:500])
    write(tmp_path / "log" / "b.jsonl.open", records[500:])
    rows.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    rows.to_parquet(tmp_path / "t.parquet", row_group_size=250)
    found = [dicts(scan(str(tmp_path / "log"), scanning))]
    found += [dicts(scan(str(tmp_path / name), table_scan(scanning))) for name in ("t.csv", "t.csv.gz", "t.parquet")]
    found.append(dicts(scan(f"file://{tmp_path}/t.parquet", table_scan(scanning))))
    store = fsspec.filesystem("memory")
    store.pipe("/bucket/t.parquet", (tmp_path / "t.parquet").read_bytes())
    store.pipe("/bucket/log/a.jsonl", b"".join(path.read_bytes() for path in sorted((tmp_path / "log").iterdir())))
    found.append(dicts(scan("memory://bucket/t.parquet", table_scan(scanning))))
    found.append(dicts(scan("memory://bucket/log", scanning)))
    assert list(found[0]) == list(DAYS) and all(item["profile"]["rows"] == 300 for item in found[0].values())
    assert found[0][DAYS[0]]["last"] == "2026-01-01T23:00:00.000Z"
    assert all(item == found[0] for item in found[1:])


def test_small_parts_and_blocks_lose_nothing(tmp_path, records, scanning, write, monkeypatch) -> None:
    write(tmp_path / "a.jsonl", records)
    whole = dicts(scan(str(tmp_path / "a.jsonl"), scanning))
    monkeypatch.setattr(source, "PART", 7001)
    monkeypatch.setattr(lines, "BLOCK", 1009)
    assert len(source.parts(str(tmp_path))) > 20
    assert dicts(scan(str(tmp_path), scanning)) == whole


def test_odd_values_and_torn_lines_cost_only_themselves(tmp_path, records, scanning, write) -> None:
    clean = scan(str(write(tmp_path / "clean.jsonl", records)), scanning)
    records[3]["features"]["age"] = "forty"
    records[4]["features"]["colour"] = 7
    path = write(tmp_path / "odd.jsonl", records)
    path.write_bytes(
        path.read_bytes() + b'not json\n{"kind": "feedback", "time": "2026-01-05T00:00:00.000Z"}\n{"kind": "pre'
    )
    found = scan(str(path), scanning)
    assert (found.torn, found.newest) == (2, "2026-01-05T00:00:00.000Z")
    before, after = clean.windows[DAYS[0]].profile, found.windows[DAYS[0]].profile
    assert after.rows == before.rows == 300
    assert after.counts["age"][-1] == 1 and after.unseen == {"age": {"forty": 1}, "colour": {"7": 1}}
    assert after.counts["visits"].tolist() == before.counts["visits"].tolist()


def test_only_what_was_asked_for_is_counted(tmp_path, record, write, reference) -> None:
    made = [
        record(1, "2026-01-01T00:00:00.000Z"),
        record(2, "2026-01-01T00:00:00.000Z", track="shadow"),
        record(3, "2026-01-01T00:00:00.000Z", release="other"),
        record(4, "2026-01-02T00:00:00.000Z", track="canary", latency_ms=40.0),
        record(5, "2026-01-03T00:00:00.000Z"),
        record(6, "long ago"),
        {"kind": "feedback", "time": "2026-01-04T00:00:00.000Z", "request_id": "r1", "row": 0, "outcome": "yes"},
    ]
    path = str(write(tmp_path / "a.jsonl", made))
    until = dt.datetime(2026, 1, 3, tzinfo=dt.UTC)
    rules = Scan(bins=watched_bins(reference), length="day", release="bank-1", until=until)
    found = scan(path, rules)
    assert {name: watched.profile.rows for name, watched in found.windows.items()} == {DAYS[0]: 1, DAYS[1]: 1}
    assert found.untimed == 1 and found.windows[DAYS[1]].profile.counts[LATENCY][-1] == 0
    shadow = Scan(bins=rules.bins, length=None, tracks=("shadow",))
    assert [watched.profile.rows for watched in scan(path, shadow).windows.values()] == [1]


def test_a_column_that_is_gone_is_missing(tmp_path, rows, scanning) -> None:
    rows.drop(columns="age").to_csv(tmp_path / "t.csv", index=False)
    rows.drop(columns="age").to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        profile = scan(str(tmp_path / name), table_scan(scanning)).windows[DAYS[0]].profile
        assert profile.counts["age"][-1] == 300


def test_personal_values_of_a_table_are_hashed_first(tmp_path, rows, reference) -> None:
    from mainline.data.profile import Bins
    from mainline.project import Marks

    rows.to_csv(tmp_path / "t.csv", index=False)
    rules = Scan(
        bins={"colour": Bins(values=("sha256:b1f51a511f1d",))}, length=None, marks={"colour": Marks(pii="hash")}
    )
    text = json.dumps([watched.to_dict() for watched in scan(str(tmp_path / "t.csv"), rules).windows.values()])
    assert "sha256:" in text and "red" not in text


def test_several_classes_have_a_score_each(tmp_path, record, write) -> None:
    from mainline.data.profile import Bins

    bins = {f"(score) {index}": Bins(edges=(0.5,)) for index in range(3)}
    made = [
        record(1, "2026-01-01T00:00:00.000Z", score=[0.1, 0.7, 0.2]),
        record(2, "2026-01-01T00:00:00.000Z", score=None),
    ]
    found = scan(str(write(tmp_path / "a.jsonl", made)), Scan(bins=bins, length="day")).windows[DAYS[0]].profile
    assert [found.counts[name].tolist() for name in bins] == [[1, 0, 1], [0, 1, 1], [1, 0, 1]]


def test_a_place_that_cannot_be_read_is_said_with_the_way_out(tmp_path, scanning) -> None:
    with pytest.raises(UserError, match="not there"):
        scan(str(tmp_path / "nowhere"), scanning)
    (tmp_path / "a.xlsx").write_text("x")
    with pytest.raises(UserError, match="a.xlsx: not a format that is known"):
        scan(str(tmp_path), scanning)
    with pytest.raises(UserError, match="no client for this address"):
        scan("nonsense://bucket/log", scanning)


def test_dask_workers_count_the_same(tmp_path, records, scanning, write) -> None:
    from distributed import LocalCluster

    for index in range(4):
        write(tmp_path / f"{index}.jsonl", records[index::4])
    here = scan(str(tmp_path), scanning)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp", host="127.0.0.1"
    ) as cluster:
        spread = scan(str(tmp_path), scanning, cluster.scheduler_address)
    assert dicts(spread) == dicts(here) and spread.newest == here.newest
    assert len(here.windows) == 3


def test_a_scheduler_that_does_not_answer_is_said(tmp_path, records, scanning, write, monkeypatch) -> None:
    write(tmp_path / "a.jsonl", records[:1])
    monkeypatch.setattr(build, "TIMEOUT", "0.2s")
    with pytest.raises(UserError, match="no scheduler answers"):
        scan(str(tmp_path), scanning, "tcp://127.0.0.1:1")
