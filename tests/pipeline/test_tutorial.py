"""The story of docs/tutorial.md from end to end, on the example's data and with params.yaml as it is."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
BELOW = {"floor: roc_auc", "floor: log_loss", "calibration_error"}


def commit(clone: Any, message: str) -> None:
    clone.run("git", "add", "--all")
    clone.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", f"--message={message}")


def mainline(clone: Any, *arguments: str, code: int) -> str:
    """Return all output of a command that must end with ``code``."""
    call = repr([*clone.program("mainline"), *arguments])
    output = clone.run(sys.executable, "-c", f"import subprocess, sys; print('code', subprocess.call({call}))")
    assert "Traceback" not in output and f"code {code}" in output, output
    return str(output)


def verdict(clone: Any) -> dict[str, Any]:
    return dict(json.loads((clone.folder / "reports" / "verdict.json").read_text(encoding="utf-8")))


def edit(clone: Any, name: str, old: str, new: str) -> None:
    path = clone.folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{name} has no {old!r}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def told(*numbers: str) -> None:
    """The tutorial must show the numbers that the story has today."""
    text = TUTORIAL.read_text(encoding="utf-8")
    assert [number for number in numbers if number not in text] == []


def test_the_story_of_the_tutorial(finished_copy: Any, tmp_path: Path) -> None:
    clone = finished_copy
    (tmp_path / "storage").mkdir()
    # A batch in which upstream has renamed a value stops the pipeline
    edit(clone, "data/2009-05.csv", ",success,", ",SUCCESS,")
    output = mainline(clone, "repro", code=255)
    (line,) = re.findall(r"^.*poutcome.*SUCCESS.*$", output, re.MULTILINE)
    assert "data/2009-05.csv:" in line
    told(line.strip())
    assert "not fit to train on" in output and "fitting" not in output
    assert clone.run("git", "status", "--short") == ""
    told(*re.findall(r"^.*data\.dvc is as it was.*$", output, re.MULTILINE))
    clone.dvc("checkout", "--quiet", "--force", "data.dvc")
    assert clone.run("git", "status", "--short") == ""

    # Data of your own need storage of your own
    mainline(clone, "remote", "../storage", code=0)
    # Of all bounds the latency's alone hangs on the machine, which may be busy
    edit(clone, "params.yaml", "latency_ms: 50 ", "latency_ms: 5000 ")
    commit(clone, "Move the data to storage of our own")

    # Three months more: the better model is promoted, though both are below floors that were written for another year
    clone.run("git", "checkout", "--quiet", "-b", "summer")
    clone.dvc("pull", "--quiet", "replay.dvc")
    for month in ("2009-06", "2009-07", "2009-08"):
        shutil.copy(clone.folder / "replay" / f"{month}.csv", clone.folder / "data" / f"{month}.csv")
    edit(clone, "params.yaml", 'as_of: "2009-05-31"', 'as_of: "2009-08-31"')
    clone.dvc("add", "--quiet", "data")
    clone.dvc("repro", "--quiet")
    clone.dvc("push", "--quiet")
    commit(clone, "Add June to August 2009")
    output = mainline(clone, "compare", "--against", "main", code=0)
    found = verdict(clone)
    assert (found["verdict"], found["case"], found["rows"]) == ("promote", "compared", 777)
    assert found["changes"]["gates"] == []
    assert {gate["gate"]: gate["level"] for gate in found["gates"] if not gate["passed"]} == dict.fromkeys(
        BELOW, "note"
    )
    entry = found["metrics"][[item["metric"] for item in found["metrics"]].index("log_loss")]
    assert entry["worse"]["high"] < -0.02
    (slices,) = [gate for gate in found["gates"] if gate["gate"] == "slice floor: roc_auc"]
    assert "job = retired" in slices["note"] and slices["value"] > 0.5  # one slice of 128 rows below it by chance
    assert "so is the champion" in (clone.folder / "reports" / "report.md").read_text(encoding="utf-8")[:1500]
    told(*(line.strip() for line in output.splitlines() if line.startswith(("log_loss", "roc_auc", "! floor"))))
    clone.run("git", "checkout", "--quiet", "main")
    clone.run("git", "merge", "--quiet", "summer")

    # From then on main is below its floors: that alone may stop no change, least of all one that leaves the model alone
    mainline(clone, "compare", "--against", "main", code=0)
    found = verdict(clone)
    assert (found["verdict"], found["case"]) == ("promote", "identical model")
    assert {reason["gate"] for reason in found["reasons"]} == BELOW
    # And it excuses nobody: a model that ranks as well, and whose chances are worse, is rejected
    clone.run("git", "checkout", "--quiet", "-b", "simpler")
    edit(clone, "params.yaml", "method: sigmoid", "method: none")
    clone.dvc("repro", "--quiet")
    clone.dvc("push", "--quiet")
    commit(clone, "Leave the calibration out")
    output = mainline(clone, "compare", "--against", "main", code=1)
    found = verdict(clone)
    levels = {reason["gate"]: reason["level"] for reason in found["reasons"]}
    assert levels["primary: log_loss"] == levels["calibration error"] == "reject"
    assert {levels[gate] for gate in BELOW} == {"hold"}  # nothing is proven, so nothing is passed over
    told(*(line.strip() for line in output.splitlines() if line.startswith(("log_loss", "roc_auc", "✗ primary"))))
