"""Every planted fault is stopped by its gate, with its words; the same way without a fault is not stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from planted.plants import Fault, nothing
from planted.site import ROOT, Site
from planted.table import FAULTS, PAGE, markdown
from planted.ways import ended, expected, step, stopped_by

TEXT_ONLY = ("workflow rules", "zizmor", "actionlint")


def params(faults: list[Fault]) -> list[object]:
    return [
        pytest.param(item, id=item.name, marks=() if item.way[-1] in TEXT_ONLY else pytest.mark.slow) for item in faults
    ]


@pytest.fixture
def site(request: pytest.FixtureRequest, copied: Callable[[], Site], tmp_path: Path) -> Site:
    """A folder to plant in; a fault in a workflow needs no more than the workflows."""
    if request.getfixturevalue("fault").way[-1] not in TEXT_ONLY:
        return copied()
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    return Site(tmp_path, tmp_path)


@pytest.mark.parametrize("fault", params(FAULTS))
def test_a_planted_fault_is_stopped_by_its_gate(fault: Fault, site: Site) -> None:
    # Given the fault, let through by everything before the last command
    fault.plant(site)
    for command in fault.way[:-1]:
        done = step(site, command)
        assert done.code == 0, done.output
    # When the last command runs
    last = step(site, fault.way[-1])
    # Then it ends as it must
    assert ended(site, fault, last) == expected(fault), last.output
    # And its gate has stopped it, with at most the others that are named
    found = stopped_by(site, fault, last)
    assert fault.gate in found, (found, last.output)
    assert [gate for gate in found - {fault.gate} if not gate.startswith(fault.also or ("\0",))] == [], last.output
    # And it says so; the comparison in the report, too
    for words in fault.says:
        assert words in last.output, last.output
    if fault.verdict == "seen":
        report = (site.folder / "reports" / "report.md").read_text(encoding="utf-8")
        assert "this change loosens a gate" in report


CLEAN = [
    Fault("data", "sound batches", nothing, ("mainline validate",), "", ()),
    Fault("code", "a model that is the same on every run", nothing, ("a fresh clone", "mainline ci train"), "", ()),
    *[Fault("workflow", f"sound workflows: {way}", nothing, (way,), "", ()) for way in TEXT_ONLY],
]  # fmt: skip


@pytest.mark.parametrize("fault", params(CLEAN))
def test_without_a_fault_the_same_way_is_open(fault: Fault, site: Site) -> None:
    fault.plant(site)
    for command in fault.way:
        done = step(site, command)
        assert done.code == 0, done.output


def test_every_way_has_a_clean_case() -> None:
    in_test_cases = {"dvc repro", "mainline compare"}
    assert {fault.way[-1] for fault in FAULTS} <= {command for fault in CLEAN for command in fault.way} | in_test_cases


def test_bounds_cannot_be_moved_without_their_owners() -> None:
    """What the table calls `seen` is told in the report; that it needs a second person stands here."""
    owned = {line.split()[0] for line in (ROOT / ".github/CODEOWNERS").read_text().splitlines() if line[:1] == "/"}
    assert {"/params.yaml", "/dvc.lock", "/.github/", "/src/mainline/"} <= owned
    rules = yaml.safe_load((ROOT / ".github/ruleset.json").read_text())["rules"]
    assert any(item.get("parameters", {}).get("require_code_owner_review") for item in rules)


def test_the_page_shows_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "python tests/faults/print_table.py"


def test_names_are_told_apart() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 20
