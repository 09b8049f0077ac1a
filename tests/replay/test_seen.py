"""What the monitor makes of each planted fault: which verdict names it, and which faults it cannot see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mainline.monitor.source import records

Replay = Callable[..., Any]
FROM = "2009-06-01"


def test_without_a_fault_two_months_are_calm_and_every_outcome_comes_late(replay: Replay) -> None:
    found = replay()
    assert found.played.answered == 1200 and not found.played.refused and not found.played.failed
    assert found.verdicts == ["OK", "OK"] and found.alarms == set()
    assert found.performance["verdict"] == "OK", found.performance["reason"]
    labels = found.performance["labels"]
    assert (labels["duplicates"], labels["orphans"], labels["lag_days"]["median"]) == (0, 0, 14.0)
    # Only what is 14 days old by the end of July has an outcome
    assert 0.6 < found.performance["coverage"] < 0.9 and found.played.outcomes == labels["outcomes"]
    times = [item["time"] for item in records(str(found.log)) if item["kind"] == "prediction"]
    assert times == sorted(times) and times[0] >= "2009-06-01" and times[-1] < "2009-08-01"


def test_the_contract_names_each_column_at_once_where_the_service_lets_it_through(replay: Replay) -> None:
    found = replay(
        f"rename:contact=cellular->CELLULAR@{FROM}",
        f"nulls:age=0.1@{FROM}",
        f"unit:balance=100/0.1@{FROM}",
        f"shift:campaign=2@{FROM}",
        accept=("contact", "age", "balance"),
    )
    assert found.verdicts == ["DRIFT", "DRIFT"] and not found.played.refused
    assert "new category CELLULAR" in found.finding("contact").words
    assert "looks like cellular renamed" in found.finding("contact").words
    assert "missing in 1" in found.finding("age").words
    assert "far out of range" in found.finding("balance").words
    assert (
        found.finding("campaign").verdict in ("WARNING", "DRIFT") and "moved up by" in found.finding("campaign").words
    )


def test_what_the_service_refuses_is_counted_and_the_share_that_is_left_moves(replay: Replay) -> None:
    found = replay("rename:contact=cellular->CELLULAR@2009-06-15")
    ((words, refused),) = found.played.refused.items()
    assert words == 'contact: is not allowed ("CELLULAR")'
    assert found.played.hints[words] == "did you mean 'cellular'?"
    assert found.played.answered + refused == 1200 and refused > 200
    # No outcome is made up for a prediction that was never made
    assert found.played.withheld > 0 and found.performance["labels"]["orphans"] == 0
    assert "contact" in found.alarms and found.verdicts[1] == "DRIFT"


def test_a_shift_is_a_warning_once_and_drift_the_second_time(replay: Replay) -> None:
    found = replay(f"shift:previous=0.5@{FROM}", accept=("previous",))
    assert [found.finding("previous", window).verdict for window in (0, 1)] == ["WARNING", "DRIFT"]


def test_a_flipped_world_moves_no_input_and_is_worse(replay: Replay) -> None:
    found = replay(f"flip=0.5@{FROM}")
    assert found.alarms == set() and found.verdicts == ["OK", "OK"]
    assert found.performance["verdict"] == "WORSE"


def test_a_shuffled_column_is_no_drift_and_only_outcomes_tell(replay: Replay) -> None:
    found = replay(f"shuffle:poutcome@{FROM}")
    assert found.finding("poutcome").verdict == "OK" and "poutcome" not in found.alarms
    assert found.performance["verdict"] == "WORSE"


def test_silence_is_stale_once_the_late_outcomes_have_ended_too(replay: Replay) -> None:
    found = replay("silence@2009-06-20")
    # The outcomes of June go on coming in until July: the log lives, and June itself had rows enough.
    assert found.verdicts == ["OK", "STALE"]


def test_duplicate_traffic_is_counted_once_in_performance_and_is_no_drift(replay: Replay) -> None:
    found = replay(f"duplicate=0.2@{FROM}")
    labels = found.performance["labels"]
    assert labels["duplicates"] == found.played.requests - 1200 > 100
    assert labels["predictions"] == 1200
    assert found.alarms == set(), "the shares are what they were: drift cannot see it"


def test_a_clock_that_runs_ahead_is_named_by_no_verdict_and_only_moves_rows(replay: Replay) -> None:
    found = replay("skew=960@2009-06-15")  # forty days
    rows = [kept.judged.rows for kept in found.windows]
    assert rows[0] < 400 and sum(rows) < 1200, "part of it is in no window that has ended"
    assert found.alarms == set()


def test_a_clock_that_runs_behind_is_not_seen_once_its_window_was_watched(replay: Replay) -> None:
    found = replay("skew=-720@2009-07-01")
    assert [kept.judged.rows for kept in found.windows][1] < 100
    assert found.verdicts[1] in ("STALE", "INSUFFICIENT DATA", "NO TRAFFIC"), "that July is missing is never green"
