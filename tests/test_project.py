"""The contract: what a project must hold, what is said when it does not, and what a model's scores look like."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

import mainline.project
from mainline.errors import UserError
from mainline.project import Direction, Invariance, Marks, about, column, load_project, load_schema, scores

PARTS = {
    "__init__": '"""A shop of one shelf."""\n',
    "schema": (
        "import pandera.pandas as pa\n"
        "from mainline.project import column\n"
        "class Row(pa.DataFrameModel):\n"
        '    a: int = column(ge=0, protected=True, pii="hash")\n'
        '    y: str = column(one_of=("no", "yes"), known="after")\n'
        "    plain: float\n"
    ),
    "features": 'COLUMNS = ["a"]\ndef build(columns):\n    return list(columns)\n',
    "model": "SPACE = {}\ndef build(seed):\n    return seed\n",
    "expectations": "SLICES = GROUPS = {}\nBEHAVIOURS = ()\nVALUE = None\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch):
    """Return a function that writes a package of its own with parts replaced (None: left out), and names it."""
    monkeypatch.chdir(tmp_path)
    path, loaded, made = list(sys.path), set(sys.modules), []

    def write(**parts) -> str:
        name = f"contract_shop_{len(made)}"
        made.append(name)
        folder = tmp_path / "src" / name
        folder.mkdir(parents=True)
        for module, text in {**PARTS, **parts}.items():
            if text is not None:
                (folder / f"{module}.py").write_text(text)
        return name

    yield write
    sys.path[:] = path
    for name in set(sys.modules) - loaded:
        if name.startswith("contract_shop_"):
            del sys.modules[name]


def test_the_example_fulfils_the_contract() -> None:
    found = load_project("bank")
    assert set(found.columns) < set(found.marks)
    assert found.protected == ("age", "marital")
    assert found.marks["duration"].known == "after" and found.marks["row_id"].pii == "hash"
    assert about("bank").startswith("The example project")


def test_a_project_in_src_is_found_and_its_marks_are_read(project) -> None:
    name = project()
    found = load_project(name)
    assert found.columns == ("a",) and found.trusted == () and found.value is None
    assert found.marks == {
        "a": Marks(protected=True, pii="hash"),
        "y": Marks(known="after", one_of=("no", "yes")),
        "plain": Marks(),
    }
    assert about(name) == "A shop of one shelf."
    row, marks = load_schema(name)
    assert row.to_schema().columns["y"].checks[0].statistics == {"allowed_values": ["no", "yes"]}
    assert marks == found.marks


def test_the_docstring_is_found_where_python_keeps_none(project, tmp_path: Path) -> None:
    name = project(schema="Row = None\n")
    call = [sys.executable, "-OO", "-c", f"from mainline.project import about; print(about({name!r}))"]
    environment = {**os.environ, "PYTHONPATH": str(Path(mainline.project.__file__).parents[1])}
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "A shop of one shelf.\n"


def test_own_types_are_optional(project) -> None:
    assert load_project(project(model=PARTS["model"] + 'TRUSTED = ["a.B"]\n')).trusted == ("a.B",)


@pytest.mark.parametrize("module", ["schema", "features", "model", "expectations"])
def test_a_missing_module_is_named(module: str, project) -> None:
    name = project(**{module: None})
    with pytest.raises(UserError, match=rf"no module {name}.{module} \(params.yaml, key project\)") as caught:
        load_project(name)
    assert f"create src/{name}/{module}.py" in caught.value.fix


@pytest.mark.parametrize(
    ("module", "name"),
    [("schema", "Row"), ("features", "COLUMNS"), ("features", "build"), ("model", "build"), ("model", "SPACE"),
     ("expectations", "SLICES"), ("expectations", "GROUPS"), ("expectations", "BEHAVIOURS"),
     ("expectations", "VALUE")],
)  # fmt: skip
def test_a_missing_name_is_named(module: str, name: str, project) -> None:
    package = project(**{module: PARTS[module].replace(name, f"{name}_")})
    with pytest.raises(UserError, match=rf"src/{package}/{module}.py: {name} is missing"):
        load_project(package)


def test_a_feature_that_the_schema_lacks_is_named(project) -> None:
    package = project(features=PARTS["features"].replace('["a"]', '["a", "colour"]'))
    with pytest.raises(UserError, match="COLUMNS: colour: not in .*schema.Row") as caught:
        load_project(package)
    assert "a, y, plain" in caught.value.fix


@pytest.mark.parametrize("absent", ["no_such_library", "contract"])
def test_a_library_that_the_project_lacks_is_not_taken_for_the_project(absent: str, project) -> None:
    # "contract" is how the name of the package begins, too
    with pytest.raises(UserError, match=f"model.py:1: ModuleNotFoundError: No module named '{absent}'"):
        load_project(project(model=f"import {absent}\n" + PARTS["model"]))


def test_column_checks_and_marks() -> None:
    class Row(pa.DataFrameModel):
        a: str = column(one_of=("x", "y"), nullable=True)

    made = Row.to_schema().columns["a"]
    assert made.metadata == {"mainline": Marks(one_of=("x", "y"))} and made.nullable


def test_expectations_have_strict_defaults() -> None:
    assert Invariance("same", lambda rows: rows).tolerance == 1e-9
    assert Direction("up", lambda rows: rows, up=True).share == 0.95


@pytest.mark.parametrize(("classes", "shape"), [(2, (4,)), (3, (4, 3))])
def test_scores_of_classes(classes: int, shape: tuple) -> None:
    class Model:
        def predict_proba(self, rows):
            return np.tile(np.arange(classes) / 10, (len(rows), 1))

    found = scores(Model(), pd.DataFrame(index=range(4)))
    assert found.shape == shape and found.dtype == np.float64
    assert np.allclose(found[..., -1] if classes == 3 else found, (classes - 1) / 10), "binary: the last class"


def test_scores_of_a_regression() -> None:
    class Model:
        def predict(self, rows):
            return list(range(len(rows)))

    assert scores(Model(), pd.DataFrame(index=range(3))).tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"features": "COLUMNS = ['a']\nCOLUMN[0]\n"}, r"features\.py:2: NameError: name 'COLUMN'"),
        ({"model": "SPACE = {\n"}, r"model\.py:1: SyntaxError: '\{' was never closed"),
        ({"model": "import nonsuch\n"}, r"model\.py:1: ModuleNotFoundError: .*nonsuch"),
        ({"schema": PARTS["schema"].replace("ge=0", "gee=0")}, r"schema\.py:4: SchemaInitError: .*gee"),
    ],
)
def test_a_mistake_in_the_projects_code_is_told_with_its_line(project, parts, says: str) -> None:
    with pytest.raises(UserError, match=says):
        load_project(project(**parts))


def test_expectations_may_be_none(project) -> None:
    found = load_project(project(expectations="SLICES = GROUPS = BEHAVIOURS = VALUE = None\n"))
    assert (found.slices, found.groups, found.behaviours, found.value) == ({}, {}, (), None)
