"""Who gets which key of storage: held against the workflow files as they are, and against faults planted in them."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main
import yaml

from mainline import keys
from mainline.cli import app

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob(".github/workflows/*.yml"))
READ = [name for names in keys.SECRETS.values() for name in names]
# The commands of the workflows whose modules can reach storage, by what they do there ...
TOUCH = {
    "ci train": "data, and the outputs of a lock that fits",
    "ci outputs": "asks what storage lacks",
    "ci push": "writes",
    "compare": "gate `remote`; the champion",
    "ci release build": "the outputs",
    "ci release rollout": "the stable release, the batches that are played",
    "ci rollback": "an earlier release",
    "ci retrain": "data, and writes the new batches",
    "ci monitor begin": "the release that serves",
    "ci monitor watch": "the prediction log",
    "monitor report": "the prediction log",
}
# ... and those that only share a module with one that does.
APART = {
    "ci monitor heartbeat": "reads branch deploy",
    "ci monitor enable": "asks GitHub",
    "ci monitor conclude": "repeats an exit code",
    "ci release unpack": "opens an artifact",
    "ci release approve": "asks GitHub who approved",
    "ci release plan": "asks git and GitHub",
    "ci release refused": "asks GitHub who refused",
    "ci report": "takes an artifact, asks git and GitHub",
    "monitor issues": "reads the windows that were kept",
}
REACHES = re.compile(r"\bdvc\.run\(|\b_dvc\(|\btrial\.(push|fetch)\(|\bfsspec\b")
# Main's code, on main, in the environment that holds the keys that write.
WRITERS = {("report.yml", "push"), ("retrain.yml", "retrain")}
# Where a pull request's code runs.
UNTRUSTED = {"pull-request.yml"}


def faults(name: str, text: str) -> list[str]:
    """Return what is wrong with the keys in a workflow."""
    content: dict[str, Any] = yaml.safe_load(text)
    found = []
    if set(content.get("env", {})) & {*READ, *keys.VARIABLES, *keys.WRITE}:
        found.append("a key for all jobs")
    for job, body in content["jobs"].items():
        writes = "MAINLINE_WRITE_" in str(body)
        if writes and (name in UNTRUSTED or (name, job) not in WRITERS or body.get("environment") != "storage"):
            found.append(f"{job}: a key that writes")
        for step in body["steps"]:
            env = {**body.get("env", {}), **step.get("env", {})}
            command = command_of(step.get("run", ""))
            if command in TOUCH:
                found += [f"{job}: {command}: no {key}" for key in READ if env.get(key) != f"${{{{ secrets.{key} }}}}"]
                found += [
                    f"{job}: {command}: no {key}" for key in keys.VARIABLES if env.get(key) != f"${{{{ vars.{key} }}}}"
                ]
            for key in READ:
                # A step's own empty text would hide what a step for OIDC has left in the job.
                if key in step.get("env", {}):
                    found.append(f"{job}: {key} in a step, which hides the key of a role")
            if (name, job) in WRITERS:
                found += [
                    f"{job}: no {key}"
                    for key in (f"{keys.PREFIX}{item}" for item in READ)
                    if env.get(key) != f"${{{{ secrets.{key} }}}}"
                ]
    return found


@functools.cache
def commands() -> Any:
    """Return the command line, whose signatures are read once."""
    return typer.main.get_command(app)


def command_of(run: str) -> str:
    """Return the words of a `mainline` command that name it; empty for another program."""
    words, group = run.split(), commands()
    if not words or words[0] != "mainline":
        return ""
    taken = []
    for word in words[1:]:
        if word not in getattr(group, "commands", {}):
            break
        group = group.commands[word]
        taken.append(word)
    return " ".join(taken)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_step_that_touches_storage_has_the_keys_that_read_and_no_other_the_ones_that_write(path: Path) -> None:
    assert faults(path.name, path.read_text(encoding="utf-8")) == []


PLANTED = [
    ("pull-request.yml", "      AWS_SECRET_ACCESS_KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}\n", "",
     "ci train: no AWS_SECRET_ACCESS_KEY"),
    ("pull-request.yml", "secrets.AWS_ACCESS_KEY_ID", "secrets.MY_KEY", "compare: no AWS_ACCESS_KEY_ID"),
    ("pull-request.yml", "      AWS_ACCESS_KEY_ID:", "      MAINLINE_WRITE_AWS_ACCESS_KEY_ID:",
     "train: a key that writes"),
    ("pull-request.yml", "vars.AWS_DEFAULT_REGION", "vars.REGION", "no AWS_DEFAULT_REGION"),
    ("pull-request.yml", '  DVC_NO_ANALYTICS: "1"\n', "  AWS_ACCESS_KEY_ID: ${{ secrets.AWS_ACCESS_KEY_ID }}\n",
     "a key for all jobs"),
    ("pull-request.yml", "          BASE_COMMIT:", '          AWS_ACCESS_KEY_ID: ""\n          BASE_COMMIT:',
     "AWS_ACCESS_KEY_ID in a step"),
    ("rollback.yml", "secrets.AZURE_STORAGE_SAS_TOKEN", "secrets.MAINLINE_WRITE_AZURE_STORAGE_SAS_TOKEN",
     "rollback: a key that writes"),
    ("report.yml", "    environment: storage", "    environment: production", "push: a key that writes"),
    ("report.yml", "      MAINLINE_WRITE_AWS_SECRET_ACCESS_KEY:", "      AWS_SECRET:",
     "push: no MAINLINE_WRITE_AWS_SECRET_ACCESS_KEY"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sound", "planted", "words"), PLANTED, ids=[item[3] for item in PLANTED])
def test_a_planted_fault_is_found(name: str, sound: str, planted: str, words: str) -> None:
    text = (ROOT / ".github/workflows" / name).read_text(encoding="utf-8")
    assert sound in text
    found = faults(name, text.replace(sound, planted, 1))
    assert any(words in fault for fault in found), found


@pytest.fixture(scope="module")
def architecture() -> ModuleType:
    """The module that knows which module imports which."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("architecture", ROOT / "tests" / "test_architecture.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reaching(command: str, architecture: Any) -> list[str]:
    """Return the modules that ``mainline`` loads for a command and in which storage is spoken to."""
    group = commands()
    for word in command.split():
        group = group.commands[word]
    called = inspect.unwrap(group.callback)
    todo = architecture.imported(ast.parse(textwrap.dedent(inspect.getsource(called))), called.__module__, False)
    found: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in found and file_of(name).is_file():
            found.add(name)
            todo |= imported_by(name, architecture)
    return sorted(name for name in found if REACHES.search(file_of(name).read_text(encoding="utf-8")))


def file_of(name: str) -> Path:
    """Return the file of a module of this repository."""
    parts = ROOT.joinpath("src", *name.split("."))
    return parts.with_suffix(".py") if parts.with_suffix(".py").is_file() else parts / "__init__.py"


@functools.cache
def imported_by(name: str, architecture: Any) -> frozenset[str]:
    """Return the modules of this repository that a module imports."""
    path = file_of(name)
    return frozenset(architecture.imported(architecture.tree_of(path), name, path.name == "__init__.py"))


def test_the_table_of_commands_that_touch_storage_is_whole(architecture: Any) -> None:
    used = {
        command_of(step.get("run", ""))
        for path in FILES
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
        for step in job["steps"]
    } - {""}
    reach = {command for command in used if reaching(command, architecture)}
    assert reach - TOUCH.keys() - APART.keys() == set(), "does it touch storage? then TOUCH, else APART"
    assert used & TOUCH.keys() <= reach, "a command of TOUCH that reaches nothing: the search has lost its way"
    assert reaching("ci train", architecture) and not reaching("ci begin", architecture)


def test_outputs_are_packed_after_the_comparison_and_pushed_by_the_default_branch() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/pull-request.yml").read_text(encoding="utf-8"))["jobs"]
    runs = [command_of(step.get("run", "")) for step in jobs["train"]["steps"]]
    assert runs.index("ci lock") < runs.index("compare") < runs.index("ci outputs")
    (upload,) = [step for step in jobs["train"]["steps"] if (step.get("with") or {}).get("name") == "outputs"]
    assert upload["with"]["include-hidden-files"] is True, "without it the action leaves .mainline out"
    assert upload["with"]["if-no-files-found"] == "ignore" and "if" not in upload
    push = yaml.safe_load((ROOT / ".github/workflows/report.yml").read_text(encoding="utf-8"))["jobs"]["push"]
    assert push["needs"] == "report" and push["if"] == "needs.report.outputs.push == 'true'"
    for step in push["steps"]:
        assert not step.get("uses", "").startswith("actions/download-artifact"), "our own reader has bounds"
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["ref"] == "${{ github.event.repository.default_branch }}"
