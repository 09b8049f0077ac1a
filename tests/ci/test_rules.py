from __future__ import annotations

import ast
import fnmatch
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mainline.cli import app
from mainline.files import read_json

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github"
ACTIONS = 15368  # the number of the app GitHub Actions on github.com


def apply(*more: str) -> Any:
    return CliRunner().invoke(app, ["github", "ruleset", "--folder", str(FOLDER), *more])


def review(hub: Any) -> dict[str, Any]:
    (main,) = [item for item in hub.rulesets if item["name"] == "mainline"]
    (rule,) = [item for item in main["rules"] if item["type"] == "pull_request"]
    return dict(rule["parameters"])


def test_the_rules_are_applied_and_applied_again(event: Callable[..., Any], hub: Any) -> None:
    for word in ("created", "updated"):
        done = apply()
        assert done.exit_code == 0 and done.output.count(word) == 2
    main, deploy = hub.rulesets
    assert main["enforcement"] == deploy["enforcement"] == "active" and len(main["rules"]) == 4
    assert deploy["conditions"]["ref_name"]["include"] == ["refs/heads/deploy"]
    assert {rule["type"] for rule in deploy["rules"]} == {"deletion", "non_fast_forward"}
    assert "approve after the verdict" in done.output and "bypass" in done.output


@pytest.mark.parametrize(
    ("people", "given", "count"), [(2, (), 1), (9, (), 1), (1, (), 0), (1, ("1",), 1), (2, ("0",), 0)]
)
def test_one_maintainer_is_not_locked_out(
    event: Callable[..., Any], hub: Any, people: int, given: tuple[str, ...], count: int
) -> None:
    hub.people = [f"p{number}" for number in range(people)]
    done = apply(*(["--reviews", *given] if given else []))
    assert done.exit_code == 0
    assert review(hub)["required_approving_review_count"] == count
    # The only code owner could not approve either.
    assert review(hub)["require_code_owner_review"] is bool(count)
    assert ("run it with --reviews 1" in done.output) is not bool(count)


def test_where_the_number_of_people_is_not_told_it_is_asked_for(event: Callable[..., Any], hub: Any) -> None:
    hub.refuse["/collaborators"] = 403
    done = apply()
    assert done.exit_code == 1 and "--reviews 1" in done.output and hub.rulesets == []
    assert apply("--reviews", "0").exit_code == 0


def test_without_a_token_or_rights_the_fix_is_named(
    event: Callable[..., Any], hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refuse["/rulesets"] = 403
    done = apply()
    assert done.exit_code == 1 and "permission" in done.output
    monkeypatch.delenv("GITHUB_TOKEN")
    done = apply()
    assert done.exit_code == 1 and "export GITHUB_TOKEN" in done.output


def test_only_github_actions_can_meet_the_condition() -> None:
    rules = read_json(FOLDER / "ruleset.json")["rules"]
    (checks,) = [item["parameters"] for item in rules if item["type"] == "required_status_checks"]
    assert checks["required_status_checks"] == [{"context": "mainline/verdict", "integration_id": ACTIONS}]


def house() -> Any:
    """Return the module of the architecture test, which reads imports."""
    spec = importlib.util.spec_from_file_location("architecture", ROOT / "tests" / "test_architecture.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def closure(*names: str) -> set[Path]:
    """Return the files that the modules import, also inside functions and by way of others."""
    arch, todo, found = house(), list(names), set()
    while todo:
        name = todo.pop()
        path = arch.SOURCE / f"{name.replace('.', '/')}.py"
        path = path if path.is_file() else path.with_suffix("") / "__init__.py"
        if name in arch.NAMES and path not in found:
            found.add(path)
            todo += arch.imported(ast.parse(path.read_text(encoding="utf-8")), name, path.name == "__init__.py")
    return {path.relative_to(ROOT) for path in found}


def owned(path: str, lines: list[str]) -> bool:
    """Return whether a pattern of CODEOWNERS covers the file; of patterns only what the file uses is known here."""
    return any(
        path.startswith(line.lstrip("/")) if line.endswith("/") else fnmatch.fnmatchcase(path, line.lstrip("/"))
        for line in lines
    )


def patterns() -> list[str]:
    text = (FOLDER / "CODEOWNERS").read_text(encoding="utf-8")
    return [line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_whatever_a_workflow_runs_has_an_owner() -> None:
    """Who changes one line of it could write their own verdict, or their own release."""
    files = {path.as_posix() for path in closure("mainline.cli", "mainline.cli_ci", "mainline.cli_monitor")}
    assert {"src/mainline/github_call.py", "src/mainline/cli.py", "src/mainline/release/ledger.py"} <= files
    assert "src/mainline/train/artifact.py" in files and len(files) > 100
    for workflow in sorted(FOLDER.rglob("*.y*ml")):
        files.add(workflow.relative_to(ROOT).as_posix())
        text = workflow.read_text(encoding="utf-8")
        files |= set(re.findall(r"\bscripts/[\w.-]+\.py", text))
        files |= {"Makefile"} if re.search(r"run: make ", text) else set()
    files |= {"service.py", "bentofile.yaml", "dvc.yaml", "dvc.lock", "data.dvc", ".dvc/config", ".dvc/embedded/x"}
    files |= {path.name for path in ROOT.glob("requirements*.lock")} | {"pyproject.toml", "params.yaml"}
    lines = patterns()
    assert sorted(path for path in files if not owned(path, lines)) == []
    assert not owned("src/bank/features.py", lines), "a model of one's own needs no owner of the engine"


@pytest.mark.parametrize("line", ["/src/mainline/", "/scripts/", "/Makefile", "/.dvc/", "/.github/"])
def test_a_line_that_is_taken_out_of_codeowners_is_missed(line: str) -> None:
    lines = [item for item in patterns() if item != line]
    sample = {"/src/mainline/": "src/mainline/cli_ci.py", "/scripts/": "scripts/bootstrap.py", "/Makefile": "Makefile",
              "/.dvc/": ".dvc/config", "/.github/": ".github/workflows/release.yml"}  # fmt: skip
    assert owned(sample[line], patterns()) and not owned(sample[line], lines)
