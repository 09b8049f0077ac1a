"""The model file: equal models are equal bytes, and nothing unknown is ever loaded."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mainline.errors import UserError
from mainline.project import scores
from mainline.train.artifact import dump_model, load_model, save_model
from mainline.train.fit import fit

ROOT = Path(__file__).parents[2]


class Doubler(TransformerMixin, BaseEstimator):
    """A project's own transformer."""

    def fit(self, X: Any, y: Any = None) -> Doubler:
        return self

    def transform(self, X: Any) -> Any:
        return 2 * np.asarray(X)


@pytest.fixture
def model() -> Pipeline:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(60, 3))
    return Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())]).fit(rows, rows[:, 0] > 0)


@pytest.fixture
def rebuilt(model, tmp_path):
    """Return a function that writes the model's file with its schema and members changed."""

    def build(schema: Any = None, members: dict[str, bytes] | None = None) -> Path:
        with zipfile.ZipFile(io.BytesIO(dump_model(model))) as source:
            files = {name: source.read(name) for name in source.namelist()}
        if schema is not None:
            files["schema.json"] = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
        files |= members or {}
        path = tmp_path / "rebuilt.skops"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            for name, content in files.items():
                target.writestr(name, content)
        return path

    return build


FIT = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import numpy as np, pandas as pd
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, PowerTransformer, SplineTransformer
    from mainline.train.artifact import save_model
    g = np.random.default_rng(0)
    rows = pd.DataFrame({"a": g.normal(size=200), "b": g.exponential(size=200), "w": g.choice(list("xyz"), 200)})
    features = ColumnTransformer([("s", SplineTransformer(), ["a"]), ("p", PowerTransformer(), ["b"]),
                                  ("w", OneHotEncoder(sparse_output=False), ["w"])])
    kinds = {"linear": LogisticRegression(C=0.5), "trees": HistGradientBoostingClassifier(max_iter=5, random_state=0)}
    for name, kind in kinds.items():
        model = Pipeline([("features", features), ("model", CalibratedClassifierCV(kind, cv=2))])
        save_model(Path(sys.argv[1], name), model.fit(rows, rows["a"] + rows["b"] > 1))
    """
)


def test_two_fits_in_two_processes_are_the_same_bytes(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, "-c", FIT, str(tmp_path / seed)], env=environment, timeout=120,
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
    for name in ("linear", "trees"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_the_file_holds_neither_times_nor_addresses(model) -> None:
    data = dump_model(model)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert {item.date_time for item in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert file.namelist() == ["schema.json", *(f"{number:04d}.npy" for number in range(len(file.namelist()) - 1))]
        numbers: list[int] = []
        json.loads(file.read("schema.json"), object_hook=lambda item: numbers.append(item.get("__id__", 0)))
    assert max(numbers) < 100
    assert dump_model(model) == data


def test_another_model_is_other_bytes(model) -> None:
    before = dump_model(model)
    model["model"].coef_[0, 0] += 1e-9
    assert dump_model(model) != before


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("trees", [False, True])
def test_round_trip_keeps_every_prediction(task, trees, project_for, settings_for, rows_for, tmp_path) -> None:
    # Given a calibrated pipeline (a regression has no calibration) of a linear model or of boosted trees
    kinds = {"regression": HistGradientBoostingRegressor} if task == "regression" else {}
    kind = kinds.get(task, HistGradientBoostingClassifier)
    parts = {"build_estimator": lambda seed: kind(max_iter=5, random_state=seed)} if trees or kinds else {}
    settings = settings_for(model__task=task, data__positive="yes" if task == "binary" else None, model__estimator={})
    rows = rows_for(400)
    target = rows[{"binary": "binary", "multiclass": "three", "regression": "value"}[task]].to_numpy()
    fitted = fit(rows, target, project_for(**parts), settings).model
    # When it is written and read
    back = load_model(save_model(tmp_path / "model.skops", fitted))
    # Then it predicts the same, also for missing values and rows of its own
    other = pd.concat([rows_for(50, seed=2), rows.head(2)])
    assert np.array_equal(scores(back, other), scores(fitted, other))


def test_a_project_may_add_types_of_its_own(model, tmp_path: Path) -> None:
    own = Pipeline([("own", Doubler()), *model.steps])
    path = tmp_path / "model.skops"
    name = f"{Doubler.__module__}.Doubler"
    with pytest.raises(UserError, match=f"types that nobody has reviewed: {name}") as caught:
        save_model(path, own)
    assert "TRUSTED in the project's model.py" in caught.value.fix
    assert not path.exists(), "nothing is written that could not be loaded"
    save_model(path, own, [name])
    with pytest.raises(UserError, match=name):
        load_model(path)


def test_a_function_of_the_operating_system_is_refused(model, tmp_path: Path) -> None:
    sly = Pipeline([("sly", FunctionTransformer(os.system)), *model.steps])
    with pytest.raises(UserError, match="posix.system|nt.system"):
        save_model(tmp_path / "model.skops", sly)


def node(module: str, name: str, loader: str, marker: Path) -> dict[str, Any]:
    """Return a schema that would call ``module.name`` with a command that creates ``marker``, if it were obeyed."""
    command = f"__import__('pathlib').Path({str(marker)!r}).touch()" if name == "eval" else f"touch {marker}"
    text = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "__id__": 3, "is_json": True,
            "content": json.dumps(command)}  # fmt: skip
    function = {"__class__": name, "__module__": module, "__loader__": "FunctionNode", "__id__": 1,
                "content": {"module_path": module, "function": name}}  # fmt: skip
    arguments = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "__id__": 2,
                 "content": [text]}  # fmt: skip
    empty = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "__id__": 4, "content": {},
             "key_types": {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "__id__": 5,
                           "content": []}}  # fmt: skip
    usual = {"__class__": name, "__module__": module, "__loader__": loader, "__id__": 0, "protocol": 2,
             "_skops_version": "0.16.0"}  # fmt: skip
    content: dict[str, Any] = {
        "FunctionNode": {"content": {"module_path": module, "function": name}},
        "TypeNode": {},
        "ObjectNode": {"content": text},
        "OperatorFuncNode": {"attrs": arguments},
        "ConstructorFromReduceNode": {"content": {"reduce": arguments}, "constructor": function, "args": arguments},
        "ReduceNode": {"content": text, "reduce": {"args": arguments}, "constructor": function},
        "TreeNode": {"content": text, "reduce": {"args": arguments}, "constructor": function},
        "LossNode": {"content": text, "reduce": {"args": arguments}, "constructor": function},
        "MethodNode": {"content": {"func": name, "obj": function}},
        "PartialNode": {"__class__": "partial", "__module__": "functools",
                        "content": {"func": function, "args": arguments, "kwds": empty, "namespace": empty}},
    }  # fmt: skip
    return usual | content[loader]


LOADERS = ("FunctionNode", "TypeNode", "ObjectNode", "OperatorFuncNode", "ConstructorFromReduceNode", "ReduceNode",
           "TreeNode", "LossNode", "MethodNode", "PartialNode")  # fmt: skip


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "eval"), ("subprocess", "getoutput")])
def test_a_planted_call_is_refused_and_never_made(module, name, loader, rebuilt, tmp_path, monkeypatch) -> None:
    called = []
    for place in (os, subprocess):
        for function in ("system", "getoutput"):
            monkeypatch.setattr(place, function, lambda *given: called.append(given), raising=False)
    marker = tmp_path / "executed"
    with pytest.raises(UserError) as caught:
        load_model(rebuilt(node(module, name, loader, marker)))
    assert called == [] and not marker.exists()
    if loader in ("FunctionNode", "TypeNode", "ObjectNode", "PartialNode"):
        assert "types that nobody has reviewed" in caught.value.problem
        assert f"{module}.{name}" in caught.value.problem


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def test_pickles_in_place_of_arrays_are_refused_and_never_read(rebuilt, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    array = io.BytesIO()
    np.save(array, np.array([Bomb(marker)], dtype=object), allow_pickle=True)
    for content in (pickle.dumps(Bomb(marker)), array.getvalue()):
        with pytest.raises(UserError, match="damaged model file"):
            load_model(rebuilt(members={"0001.npy": content}))
    path = tmp_path / "model.skops"
    path.write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(UserError, match="damaged model file"):
        load_model(path)
    assert not marker.exists()


@pytest.mark.parametrize("schema", [{}, [], b"null", b"{", b"\xff\xfe", {"protocol": 99}, {"protocol": 2}])
def test_a_file_with_another_schema_is_damaged(schema, rebuilt) -> None:
    with pytest.raises(UserError, match=r"rebuilt.skops: damaged model file") as caught:
        load_model(rebuilt(schema))
    assert "dvc checkout" in caught.value.fix


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_damaged(share: float, model, tmp_path: Path) -> None:
    data = dump_model(model)
    path = tmp_path / "model.skops"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(UserError, match=r"model.skops: damaged model file"):
        load_model(path)


def test_a_flipped_byte_never_gives_another_model(model, tmp_path: Path) -> None:
    # Given a file in which one byte was turned over, anywhere: it is refused, or the byte said nothing
    data, path, refused = dump_model(model), tmp_path / "model.skops", 0
    rows = np.random.default_rng(1).normal(size=(20, 3))
    for place in range(0, len(data), 31):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            assert np.array_equal(load_model(path).predict_proba(rows), model.predict_proba(rows))
        except UserError as error:
            refused += "damaged model file" in error.problem
    assert refused > 0.6 * len(range(0, len(data), 31))


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model.skops: not there"):
        load_model(tmp_path / "model.skops")
