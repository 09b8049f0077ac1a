"""The small parts: counting, reading the log, plans, processes' files, words. No process is started."""

from __future__ import annotations

import io
import json
import os
import time
import tracemalloc
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mainline.config import Rollout
from mainline.errors import UserError
from mainline.project import Value
from mainline.release.ledger import State
from mainline.rollout import contract
from mainline.rollout.actions import Tick
from mainline.rollout.contract import _differs
from mainline.rollout.decision import Check, Decision
from mainline.rollout.journal import Journal
from mainline.rollout.measures import EDGES, Pairs, Share, Span
from mainline.rollout.paired import Half, Paired
from mainline.rollout.plan import describe, make_plan, read_plan
from mainline.rollout.processes import Process, Processes
from mainline.rollout.records import Records, Tail
from mainline.rollout.rehearsal import Rehearsed, requests, tell
from mainline.rollout.samples import MANY, Sample, alike
from mainline.rollout.statistics import Mean, Window
from mainline.rollout.tally import SPAN, SPANS, Reading, Tally, advance, buckets, evenly, read_tally
from mainline.rollout.timeline import write_timeline
from mainline.rollout.traffic import Answers
from mainline.rollout.view import Lines, view


def reading(requests: int, errors: int = 0, first: int = 0) -> Reading:
    return Reading(requests, errors, (first, *[0] * len(EDGES)))


def look(tally: Tally, mine: Reading, theirs: Reading, weight: int = 20, **more: object) -> Tally:
    given = {"now": 100.0, "phase": "canary", "step": 0, "proxy": "1", **more}
    return advance(tally, weight=weight, readings={"candidate": mine, "stable": theirs}, **given)  # type: ignore[arg-type]


def test_only_what_is_new_is_counted_and_a_restart_of_the_proxy_loses_nothing() -> None:
    tally = look(Tally(), reading(50, 5), reading(900, 9))
    assert tally.counts == {}, "what was there before the phase does not count"
    tally = look(tally, reading(80, 6, 3), reading(1000, 9))
    tally = look(tally, reading(80, 6, 3), reading(1100, 9))
    assert (tally.counts["candidate"].requests, tally.counts["candidate"].errors) == (30, 1)
    assert tally.windows == (Window(30, 1, 100, 0),), "a window without an error says nothing"
    tally = look(tally, reading(7, 0, 1), reading(20, 1), proxy="2")
    assert (tally.counts["candidate"].requests, tally.step_requests, tally.before) == (37, 37, reading(220, 1))
    tally = look(tally, reading(17, 0), reading(20, 1), proxy="2", step=1, now=130.0)
    assert (tally.step_requests, tally.step_began, tally.counts["candidate"].requests) == (10, 130.0, 47)
    tally = look(tally, reading(27, 4), reading(24, 1), 100, proxy="2", step=1)
    assert (tally.alone, tally.before, len(tally.windows)) == (Share(10, 4), reading(220, 1), 2)
    tally = replace(tally, spans=(Span(1.0, 2.0),))
    assert read_tally(json.loads(json.dumps(tally.asdict()))) == tally
    assert read_tally({"odd": 1}) == read_tally(None) == Tally()
    assert look(tally, reading(27, 4), reading(24, 1), phase="ab", proxy="2").counts == {}


def timed(*counts: int) -> Reading:
    return Reading(sum(counts), 0, (*counts, *[0] * (len(EDGES) + 1 - len(counts))))


def test_latencies_of_a_look_count_alike_and_none_at_full_weight() -> None:
    mine, theirs = evenly(timed(6, 3), timed(30, 60))
    assert (mine.latency[:2], theirs.latency[:2]) == ((6, 3), (3, 6))
    assert evenly(timed(6), timed())[0].latency == (0,) * (len(EDGES) + 1)
    tally = look(look(Tally(), timed(0), timed(0)), timed(6, 3), timed(30, 60))
    assert [tally.counts[side].latency[:2] for side in ("candidate", "stable")] == [(6, 3), (3, 6)]
    assert (tally.counts["stable"].requests, tally.before.latency[:2]) == (90, (30, 60))
    calm = look(tally, timed(6 + SPAN - 1, 3), timed(30, 61), 100)
    assert (calm.spans, calm.open.requests) == ((), SPAN - 1), "too few for a span"
    assert (calm.counts["candidate"].latency[:2], calm.counts["candidate"].requests) == ((6, 3), 9 + SPAN - 1)
    assert calm.before == tally.before, "what stable answers for a candidate that fails is not its usual"
    calm = look(calm, timed(6 + SPAN, 3), timed(30, 61), 100)
    assert (calm.spans, calm.open) == ((Span(0.0, 0.0),), Reading()), "lower edges: buckets make no difference"
    for number in range(SPANS):
        calm = look(calm, timed(6 + SPAN, 3 + SPAN * (number + 1)), timed(30, 61), 100)
    assert calm.spans == (Span(EDGES[0], EDGES[0]),) * SPANS


def test_samples_are_spread_over_all_that_came_and_hold_as_many_of_each_side() -> None:
    sample = Sample()
    for number in range(3 * MANY):
        sample.add(float(number))
    assert MANY / 2 <= len(sample.values) <= MANY
    assert set(np.diff(sample.values)) == {4.0}
    few, many = Sample(), Sample()
    for number in range(100):
        many.add(number / 100)
    few.add(0.5)
    one, more = few.values, many.values
    mine, theirs = alike({-1: one, 0: one, 1: more}, {0: more, 1: one, 2: more})
    assert (mine.tolist(), theirs.tolist()) == ([0.5, 0.0], [0.0, 0.5])
    assert [len(side) for side in alike({}, {0: more})] == [0, 0]


def test_no_answer_of_the_proxy_is_no_zero() -> None:
    tally = look(look(Tally(), reading(5), reading(5)), reading(10), reading(10))
    silent = advance(tally, 101.0, "canary", 0, 20, "1", {})
    assert silent.counts == tally.counts
    assert look(silent, reading(12), reading(10)).counts["candidate"].requests == 7


def test_buckets_become_counts() -> None:
    cumulative = [(edge, min(index, 5)) for index, edge in enumerate(EDGES)] + [(1e9, 9)]
    assert buckets(cumulative)[:7] == (0, 1, 1, 1, 1, 1, 0)
    assert (sum(buckets(cumulative)), buckets(cumulative)[-1], buckets([])) == (9, 4, ())


def record(release: str, track: str, number: int, score: object, **more: object) -> str:
    content = {"kind": "prediction", "time": f"2026-01-01T00:00:{number % 60:02}.000Z", "request_id": f"r{number}",
               "row": 0, "release": release, "track": track, "features": {"g": "ab"[number % 2]}, "score": score,
               "decision": bool(score and np.max(score) > 0.5), **more}  # fmt: skip
    return json.dumps(content) + "\n"


def test_the_log_is_read_on_and_on_joined_and_valued(tmp_path: Path) -> None:
    log = tmp_path / "20260101.jsonl.open"
    half = record("new", "shadow", 2, 0.9)
    log.write_text(record("old", "stable", 1, 0.4) + record("new", "shadow", 1, 0.6) + half[:40])
    records = Records(Tail(tmp_path), "old", "new", "2026-01-01T00:00:00.000Z",
                      lambda rows: {"g": [row["g"] for row in rows]}, Value(10, 1), "yes")  # fmt: skip
    records.read([])
    assert (records.pairs.all, dict(records.pairs.slices)) == (Share(1, 0), {("g", "b"): Share(1, 0)})
    with log.open("a") as stream:
        stream.write(half[40:] + record("old", "stable", 2, 0.8) + "no JSON\n[1]\n")
        stream.write(record("new", "canary", 19, 0.9))
        stream.write(record("old", "stable", 30, 0.2) + record("new", "canary", 31, [0.7, 0.3]))
        stream.write(record("other", "stable", 32, 0.2))
        for number in (1, 19, 30, 31):
            stream.write(json.dumps({"kind": "feedback", "time": "2026-01-01T00:01:00.000Z", "row": 0,
                                     "request_id": f"r{number}", "outcome": "yes"}) + "\n")  # fmt: skip
    log.rename(tmp_path / "20260101.jsonl")
    records.read(["2026-01-01T00:00:20.000Z"])
    assert records.pairs.all == Share(2, 1)
    assert (list(records.scores["stable"]), list(records.earlier["stable"])) == ([0.2], [0.4, 0.8])
    assert list(records.scores["candidate"]) == [0.9, 0.7]
    # Requests 1 and 19 came before both sides had users.
    assert (records.values("candidate"), records.values("stable")) == ((Mean(1, 9.0, 81.0),), (Mean(1, 0.0, 0.0),))
    records.read(["2026-01-01T00:00:20.000Z"])
    assert records.pairs.all.n == 2, "nothing is read twice"
    with (tmp_path / "20260101.jsonl").open("a") as stream:
        stream.write(record("old", "stable", 42, 0.3) + record("old", "stable", 46, 0.3))
    records.read([])
    assert records.pairs.unanswered == 1, "request 42, but 46 may still be on its way"
    assert records.pairs.correlation == pytest.approx(1.0)


def test_a_new_reader_of_a_long_log_neither_holds_it_nor_reads_what_is_older_than_the_rollout(tmp_path: Path) -> None:
    # A file that was closed before the rollout, and one of 12,000 pairs
    began = 1_767_225_600.0  # 2026-01-01
    wide = {"features": {"g": "a", "text": "x" * 200}}
    (tmp_path / "20251231.jsonl").write_text(record("old", "stable", 1, 0.4, **wide))
    os.utime(tmp_path / "20251231.jsonl", (began - 3600, began - 3600))
    with (tmp_path / "20260101.jsonl").open("w") as stream:
        for number in range(12_000):
            stream.write(record("old", "stable", number, 0.4, **wide) + record("new", "shadow", number, 0.6, **wide))
    records = Records(
        Tail(tmp_path, began), "old", "new", "2026-01-01T00:00:00.000Z", lambda rows: {"g": ["a"] * len(rows)}
    )
    tracemalloc.start()
    try:
        records.read([])
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert records.pairs.all == records.pairs.slices[("g", "a")] == Share(12_000, 0)
    assert len(records.earlier["stable"]) == 12_000, "the old file's record is not among them"
    assert most < 0.5 * (tmp_path / "20260101.jsonl").stat().st_size


def test_pairs_without_decisions_or_variation() -> None:
    paired = Paired()
    paired.add([(Half(0.2, None, {}), Half(0.1, None, {})), (Half(0.2, None, {}), Half(0.3, None, {}))])
    assert not paired.pairs.decided
    assert np.isnan(paired.pairs.correlation)
    assert paired.pairs.difference.mean == pytest.approx(0.1)


def test_plans_of_all_modes_and_their_way_through_git() -> None:
    rules = Rollout()
    canary, blue, ab = (make_plan(rules, Value(80, 8), mode) for mode in ("canary", "blue_green", "ab"))
    assert (canary.weights, blue.weights, ab.weights) == ((1, 5, 25, 50, 100), (100,), (50,))
    assert ab.outcomes == (19_785, 19_785), "from the largest spread that the values allow"
    for plan in (canary, blue, ab):
        assert read_plan(json.loads(json.dumps(plan.asdict()))) == plan
    assert any("19,785 outcomes of stable" in line for line in describe(ab))
    assert make_plan(rules, compressed=True).pairs == rules.rehearsal.pairs
    with pytest.raises(UserError, match="rollout.ab.sd"):
        make_plan(rules, None, "ab")
    with pytest.raises(UserError, match="big_bang"):
        make_plan(rules, None, "big_bang")
    for broken in (None, {"mode": "canary"}, {**canary.asdict(), "colour": 1}):
        with pytest.raises(UserError, match="is not one"):
            read_plan(broken)


def test_a_process_is_started_again_after_a_growing_pause(tmp_path: Path) -> None:
    processes, now = Processes(tmp_path), time.time()
    process = Process("a", "stable", "r", 1, 2**22, 0.0, "", starts=0, at=now - 1)
    assert processes.restarted(process, now) == 1
    assert processes.restarted(replace(process, starts=3), now) is None
    assert processes.restarted(replace(process, starts=3), now + 4) == 4
    assert processes.restarted(replace(process, starts=9), now + 61) == 1, "it stayed up, and is forgiven"
    processes.save(process)
    (tmp_path / "broken.json").write_text("{")
    assert processes.all() == [], "of before the machine's last start"


def test_an_answer_is_the_models_or_it_is_told() -> None:
    wanted = {"probability": 0.25, "decision": False}
    assert _differs({"probability": 0.2500004, "decision": False}, wanted, 1e-6) == ""
    assert "probability is 0.26" in _differs({"probability": 0.26, "decision": False}, wanted, 1e-6)
    assert "decision is True" in _differs({"probability": 0.25, "decision": True}, wanted, 1e-6)
    assert _differs({"value": 36.867107389}, {"value": 36.867105204}, 1e-6) == ""  # relative, as parity was proven
    assert "value is 36.8672" in _differs({"value": 36.8672}, {"value": 36.867105204}, 1e-6)
    assert "probability is None" in _differs({"probability": None}, wanted, 1e-6)
    assert "nan" in _differs({"probability": float("nan"), "decision": False}, wanted, 1e-6)
    assert "probabilities: a is" in _differs({"probabilities": {"a": 1.0}}, {"probabilities": {"a": 0.5}}, 1e-6)


START = {"phase": None, "weight": 0, "step": 0, "kind": "hold"}
EVENTS = [
    {"time": "2026-01-01T00:00:00.000+00:00", "text": "starting", **START},
    {"time": "2026-01-01T00:00:09.000+00:00", "text": "<b>starting</b>", **START},
    *[
        {"time": f"2026-01-01T00:00:{second}.000+00:00", "kind": kind, "text": "10 % & more", "phase": "canary",
         "weight": 20, "step": 0, "checks": [Check("errors", outcome, "too many", 31.0, 20.0, "<=", 99).evidence()],
         "figures": {side: {"requests": 99, "errors": 7, "p99_ms": 8.1, "mean_score": 0.2, "memory_mb": 50.0}
                     for side in ("candidate", "stable")} | {"pairs": 600}}
        for second, kind, outcome in ((20, "hold", "hold"), (31, "abort", "abort"))
    ],
]  # fmt: skip


def test_a_timeline_tells_it_all_and_escapes_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "rel-1")
    assert write_timeline(journal) is None
    for event in EVENTS:
        journal.write(event)
    with (journal.folder / "events.jsonl").open("a") as stream:
        stream.write('{"torn')
    markdown, page = (path.read_text() for path in write_timeline(journal) or ())
    assert "Aborted" in markdown
    assert "| 31 s | canary | 20 % | ❌ abort |" in markdown
    assert "31 | \\<= 20 | 99 | too many" in markdown
    assert markdown.count("starting") == 1, "only the last of many holds"
    assert page.count("<svg") == 5
    assert "<b>starting" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_what_was_expected_survives_its_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.expected() is None
    pairs = Pairs(Share(5, 4), {("a", "b"): Share(3, 2)}, Mean(5, 1.0, 2.0), 0.5, 0.9, 0.1)
    journal.expect(pairs)
    found = journal.expected()
    assert found
    assert (found.all, found.slices, found.difference, found.spread) == (pairs.all, pairs.slices, pairs.difference, 0.1)


def tick(outcome: str, **more: object) -> Tick:
    state = State("production", stable="a", candidate="b", phase="canary", weight=20)
    decision = Decision((Check("errors", "promote", "0 of 9"),))
    return Tick(outcome, "what was said", replace(state, **more), EVENTS[-1]["figures"], decision)  # type: ignore[arg-type]


def test_lines_only_tell_news(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for one in (tick("hold"), tick("hold"), tick("promote", weight=100), tick("hold", weight=100)):
        lines.show(one)
    assert capsys.readouterr().out.splitlines() == [
        "canary 20 %    what was said", "✓ canary 100 %   what was said", "canary 100 %   what was said"
    ]  # fmt: skip


def test_a_terminal_shows_both_sides_and_every_check() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    with view("production: b", None, terminal) as shown:
        shown.show(tick("promote"))
    drawn = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert all(word in drawn for word in ("production: b", "canary 20 %", "candidate", "0 of 9", "passed"))


def test_rare_golden_rows_must_be_answered_right_and_say_nothing_of_the_usual_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, float]] = []
    keys: set[str] = set()

    def ask(line: int, method: str, path: str, request: dict[str, float], key: str) -> tuple[int, dict[str, object]]:
        asked.append((line, request["x"]))
        keys.add(key)
        return 200, {"predictions": [{"probability": request["x"], "decision": False}]}

    monkeypatch.setattr(contract, "connected", nullcontext)
    monkeypatch.setattr(contract, "ask", ask)
    rows = [{"request": {"x": x}, "expected": {"probability": x, "decision": False}} for x in (0.1, 0.2)]
    rare = {"request": {"x": 0.9}, "expected": {"probability": 0.9, "decision": False}, "rare": True}
    found = contract.check_golden({"rows": [*rows, rare]}, 1, 2, None, "sesame")
    assert keys == {"sesame"}
    assert asked == [(1, 0.1), (1, 0.2), (1, 0.9), (2, 0.1), (2, 0.2)]
    assert found.fault == "" and found.rows == 3 and found.expected is not None and found.expected.all.n == 2
    rare["expected"] = {"probability": 0.8, "decision": False}
    assert "golden request 3 of 3" in contract.check_golden({"rows": [*rows, rare]}, 1, 2, None).fault


def test_replayed_rows_have_the_fields_of_golden_requests(tmp_path: Path) -> None:
    golden = {"rows": [{"request": {"age": 1, "job": "x"}}, {"request": {"age": 9, "job": "y"}, "rare": True}]}
    assert requests(tmp_path / "none", golden) == requests(tmp_path, golden) == [{"age": 1, "job": "x"}]
    (tmp_path / "2009-07.csv").write_text("age\n1\n")
    with pytest.raises(UserError, match="lacks job"):
        requests(tmp_path, golden)
    (tmp_path / "2009-06.csv").write_text("job,age,y\nadmin,30,no\n,41,yes\n")
    assert requests(tmp_path, golden) == [{"age": 30, "job": "admin"}, {"age": 41, "job": None}]


def test_the_end_of_a_log_begins_with_what_was_raised(tmp_path: Path) -> None:
    process = Process("one", "candidate", "r", 1, 1, 0.0, "")
    lines = ["  File x", "ValueError: no such thing: 'False'", "", "[ERROR] startup failed", "[ERROR] startup failed"]
    (tmp_path / "one.log").write_text("\n".join(lines), encoding="utf-8")
    assert Processes(tmp_path).tail(process) == "ValueError: no such thing: 'False' | [ERROR] startup failed"
    (tmp_path / "one.log").write_text("a\nb\nc\nd\n", encoding="utf-8")
    assert Processes(tmp_path).tail(process, 2) == "c | d"


def test_users_that_came_too_fast_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for behind in (0, 1):
        answers = Answers(statuses=Counter({200: 1}), seconds=[0.1], behind=behind)
        tell(Rehearsed(Tick("abort", "too slow", State("staging"), {}), "r", answers), tmp_path)
        assert ("rollout.rehearsal.rate" in "".join(capsys.readouterr())) == bool(behind)
