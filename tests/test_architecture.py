"""The house: imports go one way, rooms stay small, and the command line starts fast."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
MODULES = sorted(SOURCE.rglob("*.py"))
FLOORS = ("data", "train", "evaluate", "compare", "release", "rollout")
GROUND = {
    f"mainline.{name}"
    for name in (
        "config",
        "config_rooms",
        "project",
        "address",
        "errors",
        "files",
        "console",
        "paths",
        "numerics",
        "kernels",
        "github",
        "github_artifacts",
        "github_call",
        "markdown",
        "child",
        "keys",
    )
}
# Storage is a house of its own beside the pipeline.
STORAGE = {
    "mainline.dvc",
    "mainline.embedded",
    "mainline.objects",
    "mainline.plugins",
    "mainline.remote",
    "mainline.stored",
}
MEASURES = ("metrics", "bootstrap", "calibration", "slices", "threshold")
PAGE = ("blocks", "charts", "document")
TOP = {"mainline.stages", "mainline.summary", "mainline.deliver", "mainline.repro"}
HEAVY = ("pandas", "numpy", "scipy", "sklearn", "mlflow", "pydantic", "pandera", "pyarrow", "matplotlib", "skops")


def dotted(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(path) for path in MODULES}


def imported(tree: ast.AST, here: str, package: bool) -> set[str]:
    """Return every module of this repository that ``tree`` imports anywhere, also inside functions and by name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = here.split(".") if package else here.split(".")[:-1]
            base = ".".join(above[: len(above) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (base, node.module or "") if part)
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in NAMES else base for alias in node.names}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in ("import_module", "__import__"):
                found.add(str(node.args[0].value))
    return {name for name in found if name.split(".")[0] in ("mainline", "bank")}


def faults(name: str, imports: set[str]) -> list[str]:
    """Return what ``name`` may not import."""
    if name.split(".")[0] == "bank":
        allowed = {"bank", "mainline.project"}
        return sorted(item for item in imports if item.split(".")[0] != "bank" and item not in allowed)
    bad = {item for item in imports if item.split(".")[0] == "bank"}
    below = {"mainline", *GROUND}
    room = name.split(".")[1] if "." in name else ""
    if name in TOP or name == "mainline.cli" or name.startswith("mainline.cli_"):
        return sorted(bad)
    if room == "serve":
        known = {*below, "mainline.train.artifact", "mainline.train.onnx_run"}
        rooms = ("serve", "data")
        return sorted(bad | {item for item in imports if item not in known and item.split(".")[1] not in rooms})
    if room == "monitor":
        # Realised performance is measured by the code that measured the champion, or the two could not be compared.
        known = below | {f"mainline.evaluate.{part}" for part in (*MEASURES, *PAGE)} | {"mainline.train.artifact"}
        rooms = ("monitor", "data")
        return sorted(bad | {item for item in imports if item not in known and item.split(".")[1] not in rooms})
    if room == "retrain":
        # Like the comparison it works in a tree of its own; it reads logs and issues, and never asks a service.
        known = below | STORAGE | {"mainline.serve.log_read"}
        rooms = ("retrain", "data", "compare", "monitor")
        return sorted(bad | {item for item in imports if item not in known and item.split(".")[1] not in rooms})
    if room == "replay":
        # It drives the whole house from outside; nothing in the house knows of it.
        rooms = ("replay", "data", "compare", "release", "rollout", "monitor", "retrain")
        known = below | STORAGE | {"mainline.serve.clock"}
        return sorted(bad | {item for item in imports if item not in known and item.split(".")[1] not in rooms})
    if room == "doctor":
        # It looks into every room, and no room knows of it.
        known = below | STORAGE | {"mainline.train.tracking_store"}
        rooms = ("doctor", "ci", "compare", "release", "monitor", "serve")
        return sorted(bad | {item for item in imports if item not in known and item.split(".")[1] not in rooms})
    if room in FLOORS or room == "ci":
        rooms = (*FLOORS, "serve", "monitor", "retrain", "ci") if room == "ci" else FLOORS[: FLOORS.index(room) + 1]
        # Who holds a lock against its objects, and who pushes them, needs the storage.
        known = below | STORAGE if room in (*FLOORS[3:], "ci") else below
        if room in ("release", "rollout"):
            known = known | {"mainline.serve.log_read"}  # what was predicted is read here, never how
        return sorted(bad | {item for item in imports if item not in known and item.split(".")[1] not in rooms})
    if name in STORAGE:
        return sorted(bad | (imports - below - STORAGE))
    if name in GROUND:
        return sorted(bad | (imports - below))
    return sorted(bad | imports)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", MODULES, ids=[dotted(path) for path in MODULES])
def test_imports_go_one_way(path: Path) -> None:
    name = dotted(path)
    assert faults(name, imported(tree_of(path), name, path.name == "__init__.py")) == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("mainline.data.split", "from mainline.train.fit import fit", "mainline.train.fit"),
        ("mainline.data.split", "from ..train import fit", "mainline.train.fit"),
        ("mainline.train.fit", "def f():\n    import mainline.evaluate.run", "mainline.evaluate.run"),
        ("mainline.train.fit", "from mainline import stages", "mainline.stages"),
        ("mainline.config", "from mainline.data import split", "mainline.data.split"),
        ("mainline.evaluate.run", "from mainline.dvc import run", "mainline.dvc"),
        ("mainline.compare.run", "from mainline.stages import run_train", "mainline.stages"),
        ("mainline.compare.run", "from mainline.ci import plan", "mainline.ci.plan"),
        ("mainline.evaluate.run", "from mainline.compare import gates", "mainline.compare.gates"),
        ("mainline.serve.log", "from mainline.train.fit import fit", "mainline.train.fit"),
        ("mainline.serve.log", "from mainline.evaluate import metrics", "mainline.evaluate.metrics"),
        ("mainline.train.fit", "from mainline.serve import log", "mainline.serve.log"),
        ("mainline.compare.run", "from mainline.release.ledger import Deploy", "mainline.release.ledger"),
        ("mainline.monitor.drift", "from mainline.train.fit import fit", "mainline.train.fit"),
        ("mainline.monitor.drift", "from mainline.evaluate.run import evaluate", "mainline.evaluate.run"),
        ("mainline.evaluate.run", "from mainline.monitor import drift", "mainline.monitor.drift"),
        ("mainline.retrain.run", "from mainline.release.ledger import Deploy", "mainline.release.ledger"),
        ("mainline.compare.run", "from mainline.retrain.run import retrain", "mainline.retrain.run"),
        ("mainline.replay.player", "from mainline.serve.app import Application", "mainline.serve.app"),
        ("mainline.rollout.plane", "from mainline.replay.client import Http", "mainline.replay.client"),
        ("mainline.doctor.pipeline", "from mainline.train.fit import fit", "mainline.train.fit"),
        ("mainline.ci.plan", "from mainline.doctor.run import examine", "mainline.doctor.run"),
        ("mainline.stages", "import bank.schema", "bank.schema"),
        ("mainline.train.fit", "importlib.import_module('bank.model')", "bank.model"),
        ("mainline.files", "from mainline.stages import ROWS", "mainline.stages"),
        ("mainline.elsewhere", "from mainline.config import Settings", "mainline.config"),
        ("bank.model", "from mainline.config import Settings", "mainline.config"),
        ("bank.model", "import mainline", "mainline"),
    ],
)
def test_a_planted_import_is_found(name: str, text: str, fault: str) -> None:
    assert faults(name, imported(ast.parse(text), name, False)) == [fault]


@pytest.mark.parametrize("path", MODULES, ids=[dotted(path) for path in MODULES])
def test_modules_are_small_and_say_what_they_are(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    assert (ast.get_docstring(tree_of(path)) or "").strip(), "no docstring"


RECORDS = {"mainline.train.tracking"}  # of the stage card: it writes to MLflow, and no output of DVC's


def read_by(stage: str) -> set[str]:
    """Return the files below data, train and evaluate that ``mainline STAGE`` runs, also those that they import."""
    functions = {node.name: node for node in tree_of(SOURCE / "mainline/stages.py").body
                 if isinstance(node, ast.FunctionDef)}  # fmt: skip
    todo, found = imported(functions[f"run_{stage}"], "mainline.stages", False), set()
    while todo:
        name = todo.pop()
        path = SOURCE / f"{name.replace('.', '/')}.py"
        if name.split(".")[1] in FLOORS[:3] and name not in found | RECORDS:
            found.add(name)
            todo |= imported(tree_of(path), name, False)
    return {f"src/{name.replace('.', '/')}.py" for name in found}


def test_a_stage_depends_on_all_code_that_makes_its_outputs() -> None:
    """Code that dvc.yaml does not name could change without the stage being run again."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    unnamed = {
        stage: {path for path in read_by(stage) if not any(f"{path}/".startswith(f"{dep}/") for dep in facts["deps"])}
        for stage, facts in stages.items()
    }
    assert {stage: sorted(paths) for stage, paths in unnamed.items() if paths} == {}
    assert "src/mainline/train/artifact.py" in read_by("card")


def modules_loaded(*arguments: str) -> set[str]:
    """Return the top-level packages that Python loads for ``arguments``."""
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], cwd=SOURCE, capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "typer" in names, "the measurement itself"
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("arguments", [("-c", "import mainline.cli"), ("-m", "mainline.cli", "--help")])
def test_the_command_line_starts_without_heavy_imports(arguments: tuple[str, ...]) -> None:
    assert modules_loaded(*arguments).isdisjoint(HEAVY)


def test_the_help_of_a_command_needs_nothing_of_what_the_command_needs() -> None:
    # Typer itself reads the arguments of a command with Pydantic.
    assert modules_loaded("-m", "mainline.cli", "train", "--help") & set(HEAVY) <= {"pydantic"}


def test_the_pipeline_and_its_owners_follow_the_project() -> None:
    """With the example's paths in them, a project of one's own would never be run again, nor be guarded."""
    for name in ("dvc.yaml", ".github/CODEOWNERS"):
        assert "bank" not in (ROOT / name).read_text(encoding="utf-8"), name
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {f"src/${{project}}/{part}.py" for part in ("schema", "features", "model")} <= set(stages["train"]["deps"])
    assert "src/${project}" in stages["evaluate"]["deps"]
