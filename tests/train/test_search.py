from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from mainline.errors import UserError
from mainline.train.fit import fit

ON = {"model__search__enabled": True, "model__search__folds": 3, "model__calibration__method": "none"}


@pytest.fixture
def searched(project_for, settings_for, rows_for):
    """Return a function that fits with search on, and gives (facts, model)."""

    def run(target="binary", rows=None, space=None, build=None, **keys):
        rows = rows_for(600) if rows is None else rows
        parts = {"space": {"C": [1e-6, 1e-4, 1.0]} if space is None else space}
        parts |= {"build_estimator": build} if build else {}
        found = fit(rows, rows[target].to_numpy(), project_for(**parts), settings_for(**{**ON, **keys}))
        return found.facts, found.model

    return run


def test_the_best_candidate_is_fitted(searched) -> None:
    facts, model = searched()
    found = facts["search"]
    assert found["best"] == {"C": 1.0} == facts["estimator"]
    assert model["model"].C == 1.0
    assert found["folds"] == 3
    assert found["candidates"][0]["params"] == {"C": 1.0}


def test_halving_gives_the_survivors_more_rows(searched) -> None:
    facts, _ = searched(model__search__factor=3)
    candidates = facts["search"]["candidates"]
    assert len(candidates) == 4, "three in the first round, one in the second"
    assert candidates[0]["rows"] > 2.5 * candidates[1]["rows"]
    scores = [item["score"] for item in candidates[1:]]
    assert scores == sorted(scores, reverse=True) and scores[0] < 0


def test_it_is_repeatable(searched) -> None:
    assert searched()[0] == searched()[0]


def test_other_arguments_of_the_estimator_stay(searched) -> None:
    def build(seed, *, C=1.0, tol=1e-4):
        return LogisticRegression(C=C, tol=tol, random_state=seed)

    facts, model = searched(build=build, model__estimator={"tol": 0.01, "C": 1e-6})
    assert facts["estimator"] == {"C": 1.0, "tol": 0.01} and model["model"].tol == 0.01


def test_regression_is_scored_by_squared_error(searched) -> None:
    keys = {"model__task": "regression", "data__positive": None, "model__estimator": {}}
    facts, _ = searched("value", space={"alpha": [1e4, 0.1]}, build=lambda seed, *, alpha=1.0: Ridge(alpha), **keys)
    assert facts["search"]["best"] == {"alpha": 0.1}
    assert -0.1 < facts["search"]["candidates"][0]["score"] < 0


class Watcher(LogisticRegression):
    """Notes the first column (the row's place in time) of what each fit and the score after it has seen."""

    seen: list[tuple[np.ndarray, list[np.ndarray]]] = []  # noqa: RUF012

    def fit(self, X, y):
        Watcher.seen.append((X[:, 0], []))
        return super().fit(X[:, 1:], y)

    def predict_proba(self, X):
        Watcher.seen[-1][1].append(X[:, 0])
        return super().predict_proba(X[:, 1:])


@pytest.mark.parametrize("time", ["contact_date", None])
def test_folds_respect_time_if_there_is_one(time, searched, rows_for) -> None:
    # Given rows whose first feature is their place in time
    Watcher.seen.clear()
    rows = rows_for(300)
    rows["a"] = np.arange(len(rows)) / len(rows)
    keys = {"data__time": time, "data__as_of": None} if time is None else {}
    searched(rows=rows, build=lambda seed, *, C=1.0: Watcher(C=C), **keys)
    # When candidates are fitted and scored in turn
    pairs = [(fitted.max(), scored[0].min()) for fitted, scored in Watcher.seen if scored]
    # Then no candidate is scored on rows older than those it was fitted on; without time, folds are drawn at random
    assert len(pairs) == 12, "four candidates in three folds"
    assert all(fitted < scored for fitted, scored in pairs) is (time is not None)


def test_an_empty_space_is_refused(searched) -> None:
    with pytest.raises(UserError, match="SPACE is empty"):
        searched(space={})


@pytest.mark.parametrize("space", [{"depth": [1, 2]}, {"C": 1.0}])
def test_a_space_that_does_not_fit_build_is_named(space, searched) -> None:
    with pytest.raises(UserError, match="src/toy/model.py: SPACE: ") as caught:
        searched(space=space)
    assert "arguments of build()" in caught.value.fix


def test_a_candidate_that_cannot_be_fitted_is_named(searched) -> None:
    with pytest.raises(UserError, match="model.search: a candidate could not be fitted or scored.*'C'") as caught:
        searched(space={"C": [-1.0, 1.0]})
    assert "SPACE in src/toy/model.py" in caught.value.fix


def test_a_fold_without_every_class_is_refused(searched, rows_for) -> None:
    rows = rows_for(300)
    rows["binary"] = 0
    rows.loc[[0, 299], "binary"] = 1
    with pytest.raises(UserError, match="model.search") as caught:
        searched(rows=rows)
    assert "if a fold lacks a class" in caught.value.fix


def test_the_space_is_of_the_arguments_of_build(searched) -> None:
    # Given a build() whose argument has a name of its own
    def build(seed, *, strength=1.0):
        return LogisticRegression(C=1 / strength, random_state=seed)

    facts, model = searched(build=build, space={"strength": [1e6, 1e4, 2.0]}, model__estimator={})
    assert facts["search"]["best"] == {"strength": 2.0} == facts["estimator"]
    assert model["model"].C == 0.5
