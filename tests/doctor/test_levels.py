from __future__ import annotations

from typing import get_args

import pytest

from mainline.doctor.found import Finding, Status
from mainline.doctor.levels import LEVELS, lacking, reached
from mainline.doctor.run import CHECKS

NAMES = [check.name for check in CHECKS]


def findings(**other: Status) -> list[Finding]:
    """Return that all is ok, but for some (spaces as underscores)."""
    return [Finding(name, "a", other.get(name.replace(" ", "_").replace("-", "_"), "ok"), "", "") for name in NAMES]


def test_every_name_in_a_level_is_a_check_and_stands_in_one_level() -> None:
    named = [name for level in LEVELS for name in level.checks]
    assert sorted(set(named)) == sorted(named) and set(named) <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)
    assert [level.number for level in LEVELS] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("level", LEVELS[1:], ids=lambda level: str(level.number))
@pytest.mark.parametrize("status", [item for item in get_args(Status) if item != "ok"])
def test_one_check_that_is_not_ok_ends_the_way_below_its_level(level: object, status: Status) -> None:
    assert isinstance(level, type(LEVELS[0]))
    for name in level.checks:
        found = [Finding(item.check, "a", status, "", "") if item.check == name else item for item in findings()]
        assert reached(found).number == level.number - 1
        missing = lacking(found)
        assert missing is not None and missing[0] is level and [item.check for item in missing[1]] == [name]


def test_a_higher_level_does_not_make_up_for_a_lower_one() -> None:
    found = findings(lock="gap")
    assert reached(found).number == 0 and lacking(found) is not None
    assert reached([]).number == 0 and lacking(findings()) is None and reached(findings()).number == 4
