"""The commands of a pull request, and what is found after them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from planted.plants import Fault, forget
from planted.site import CODES, Done, Site

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
ZIZMOR = ("zizmor", "--offline", "--quiet", "--no-progress", "--config", ".github/zizmor.yml", ".github")


def step(site: Site, command: str) -> Done:
    """Return how one command of the way ended; ``a fresh clone`` is what another machine would see."""
    if command == "a fresh clone":
        forget(site)
        return Done(0, "")
    if command == "workflow rules":
        found = _rules().faults("pull-request.yml", (site.folder / ".github/workflows/pull-request.yml").read_text())
        return Done(int(bool(found)), "\n".join(found))
    if command in ("zizmor", "actionlint"):
        arguments = ZIZMOR if command == "zizmor" else ("actionlint", ".github/workflows/pull-request.yml")
        made = subprocess.run([BIN / arguments[0], *arguments[1:]], cwd=site.folder, capture_output=True, text=True)
        return Done(made.returncode, made.stdout + made.stderr)
    program, *rest = command.split()
    return site.run(program, *rest)


def _rules() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rules_of_workflows", ROOT / "tests" / "workflows" / "test_yaml.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stopped_by(site: Site, fault: Fault, last: Done) -> set[str]:
    """Return what stopped the last command: gates, columns, a stage, or a rule."""
    command = fault.way[-1]
    if command == "mainline compare":
        wanted = {"note"} if fault.verdict == "seen" else {"reject", "hold"}
        return {item["gate"] for item in site.json("reports/verdict.json")["reasons"] if item["level"] in wanted}
    if command == "mainline validate":
        found = site.json("reports/validation.json")["violations"]
        return {item["column"] for item in found if item["level"] == "error"}
    if command == "dvc repro":
        return set(re.findall(r"failed to reproduce '(\w+)'", last.output))
    if command == "mainline ci train":
        return set(re.findall(r"✗ (\S+):", last.output))
    return set(re.findall(r"^(?:.*: )?(.*)$", last.output, re.MULTILINE)) if command == "workflow rules" else {command}


def ended(site: Site, fault: Fault, last: Done) -> dict[str, Any]:
    """Return exit code and outcome of the last command, in the form that :func:`expected` gives."""
    compared = fault.way[-1] == "mainline compare"
    outcome = site.json("reports/verdict.json")["verdict"] if compared else None
    return {"failed": last.code != 0, "verdict": outcome, "code": last.code if compared else None}


def expected(fault: Fault) -> dict[str, Any]:
    """Return what :func:`ended` must return for ``fault``."""
    outcome = {"seen": "promote", "stops": None}.get(fault.verdict, fault.verdict)
    return {
        "failed": fault.verdict != "seen", "verdict": outcome, "code": None if outcome is None else CODES[outcome]
    }  # fmt: skip
