"""From rows to a calibrated pipeline, for each kind of task."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import brier_score_loss, log_loss

from mainline.errors import UserError
from mainline.project import scores
from mainline.train.fit import feature_columns, fit

PLAIN = {"model__calibration__method": "none"}


def multiclass(**keys):
    return {"model__task": "multiclass", "data__positive": None, **keys}


class Overconfident(LogisticRegression):
    """Says the right order with chances that are far too sure."""

    def decision_function(self, X):
        return 6 * super().decision_function(X) + 4

    def predict_proba(self, X):
        chance = 1 / (1 + np.exp(-self.decision_function(X)))
        return np.column_stack([1 - chance, chance])


class Recorder(LogisticRegression):
    """Notes how many rows each fit has seen."""

    seen: list[int] = []  # noqa: RUF012

    def fit(self, X, y):
        Recorder.seen.append(len(X))
        return super().fit(X, y)


def test_feature_columns_are_the_projects_less_the_dropped(project_for, settings_for) -> None:
    assert feature_columns(project_for(), settings_for()) == ["a", "b", "word"]
    assert feature_columns(project_for(), settings_for(features__drop=["b"])) == ["a", "word"]
    with pytest.raises(UserError, match="features.drop: 'c' is not a feature"):
        feature_columns(project_for(), settings_for(features__drop=["c"]))
    with pytest.raises(UserError, match="leaves no feature"):
        feature_columns(project_for(), settings_for(features__drop=["a", "b", "word"]))


def test_a_dropped_feature_has_no_influence(project_for, settings_for, rows_for) -> None:
    rows = rows_for()
    model = fit(rows, rows["binary"].to_numpy(), project_for(), settings_for(features__drop=["a"])).model
    kept = fit(rows, rows["binary"].to_numpy(), project_for(), settings_for()).model
    other = rows.assign(a=9.0)
    assert np.array_equal(scores(model, rows), scores(model, other))
    assert not np.allclose(scores(kept, rows), scores(kept, other))
    assert np.array_equal(scores(model, rows), scores(model, rows.drop(columns="a")))


def test_calibration_mends_an_overconfident_model(project_for, settings_for, rows_for) -> None:
    # Given an estimator with the right order and wrong chances
    project = project_for(build_estimator=lambda seed: Overconfident(random_state=seed))
    train, test = rows_for(2000), rows_for(2000, seed=2)
    loss = {}
    for method in ("none", "sigmoid", "isotonic"):
        keys = {"model__calibration__method": method, "model__calibration__share": 0.2, "model__estimator": {}}
        model = fit(train, train["binary"].to_numpy(), project, settings_for(**keys)).model
        loss[method] = brier_score_loss(test["binary"], scores(model, test))
    # Then both maps bring it close to the loss of the true chances
    best = brier_score_loss(test["binary"], test["chance"])
    assert loss["none"] > best + 0.08
    assert loss["sigmoid"] < best + 0.01 and loss["isotonic"] < best + 0.01


def test_calibration_keeps_a_sound_model(project_for, settings_for, rows_for) -> None:
    train, test = rows_for(2000), rows_for(2000, seed=2)
    plain, mapped = (
        fit(train, train["binary"].to_numpy(), project_for(), settings_for(model__calibration__method=method)).model
        for method in ("none", "sigmoid")
    )
    losses = [log_loss(test["binary"], scores(model, test)) for model in (plain, mapped)]
    assert losses[1] < losses[0] + 0.01
    order = [np.argsort(scores(model, test)) for model in (plain, mapped)]
    assert np.array_equal(*order), "a rising map of the same estimator keeps the order of the rows"


def test_the_map_learns_from_the_newest_share_and_the_estimator_from_all(project_for, settings_for, rows_for) -> None:
    Recorder.seen.clear()
    rows = rows_for(600)
    project = project_for(build_estimator=lambda seed: Recorder(random_state=seed))
    settings = settings_for(model__calibration__share=0.25, model__estimator={})
    found = fit(rows, rows["binary"].to_numpy(), project, settings)
    assert found.facts["calibration"] == {"method": "sigmoid", "rows": 150}
    assert sorted(Recorder.seen) == [450, 600]
    # The map's own rows are the newest: labels turned round there, and nowhere else, turn the map round.
    turned = rows["binary"].to_numpy().copy()
    turned[450:] = 1 - turned[450:]
    other = fit(rows, turned, project, settings).model
    sound, wrong = scores(found.model, rows), scores(other, rows)
    assert np.corrcoef(rows["chance"], sound)[0, 1] > 0.9
    assert np.corrcoef(rows["chance"], wrong)[0, 1] < -0.9


def test_the_final_estimator_is_the_one_that_saw_all_rows(project_for, settings_for, rows_for) -> None:
    rows = rows_for(600)
    target = rows["binary"].to_numpy()
    found = fit(rows, target, project_for(), settings_for()).model
    plain = fit(rows, target, project_for(), settings_for(**PLAIN)).model
    inner = found["model"].calibrated_classifiers_[0].estimator.estimator
    assert np.array_equal(inner.coef_, plain["model"].coef_)
    assert np.array_equal(found["features"].transformers_[0][1].mean_, plain["features"].transformers_[0][1].mean_)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "none"])
def test_multiclass(method: str, project_for, settings_for, rows_for) -> None:
    train, test = rows_for(1500), rows_for(1000, seed=2)
    settings = settings_for(**multiclass(model__calibration__method=method, model__calibration__share=0.2))
    found = fit(train, train["three"].to_numpy(), project_for(), settings)
    chances = scores(found.model, test)
    assert chances.shape == (1000, 3)
    assert np.allclose(chances.sum(axis=1), 1)
    truth = np.eye(3)[test["three"]]
    constant = ((truth - np.bincount(train["three"]) / len(train)) ** 2).sum(axis=1).mean()
    assert ((truth - chances) ** 2).sum(axis=1).mean() < constant - 0.05


def test_regression_has_no_calibration(project_for, settings_for, rows_for) -> None:
    train, test = rows_for(600), rows_for(600, seed=2)
    project = project_for(build_estimator=lambda seed, *, alpha=1.0: Ridge(alpha=alpha))
    settings = settings_for(model__task="regression", data__positive=None, model__estimator={"alpha": 0.1})
    found = fit(train, train["value"].to_numpy(), project, settings)
    assert found.facts["calibration"] == {"method": "none", "rows": 0}
    assert np.mean((scores(found.model, test) - test["value"]) ** 2) < 0.02


def test_facts(project_for, settings_for, rows_for) -> None:
    rows = rows_for()
    facts = fit(
        rows, rows["binary"].to_numpy(), project_for(), settings_for(**PLAIN, model__estimator={"C": 2.0})
    ).facts
    assert facts == {
        "estimator": {"C": 2.0},
        "calibration": {"method": "none", "rows": 0},
        "search": None,
        "columns": ["a", "b", "word"],
    }


def test_the_seed_reaches_the_estimator(project_for, settings_for, rows_for) -> None:
    rows = rows_for(300)

    def forest(seed):
        return RandomForestClassifier(n_estimators=5, random_state=seed)

    def predict(seed):
        settings = settings_for(**PLAIN, model__seed=seed, model__estimator={})
        return scores(fit(rows, rows["binary"].to_numpy(), project_for(build_estimator=forest), settings).model, rows)

    assert np.array_equal(predict(1), predict(1))
    assert not np.array_equal(predict(1), predict(2))


@pytest.mark.parametrize("search", [False, True])
def test_an_argument_that_build_does_not_take(search: bool, project_for, settings_for, rows_for) -> None:
    rows = rows_for(100)
    settings = settings_for(model__estimator={"depth": 3}, model__search__enabled=search)
    with pytest.raises(UserError, match=r"model.estimator \{'depth': 3\}.*depth") as caught:
        fit(rows, rows["binary"].to_numpy(), project_for(space={"C": [1.0]}), settings)
    assert "src/toy/model.py" in caught.value.fix


def test_rows_of_one_class_are_refused(project_for, settings_for, rows_for) -> None:
    rows = rows_for(100)
    for keys in (PLAIN, {}, {"model__search__enabled": True}, multiclass()):
        with pytest.raises(UserError, match="y: the 100 training rows hold 1 class"):
            fit(rows, np.zeros(100, dtype=int), project_for(space={"C": [1.0]}), settings_for(**keys))


def test_a_calibration_share_without_every_class_is_refused(project_for, settings_for, rows_for) -> None:
    rows = rows_for(100)
    target = np.arange(100) % 2
    target[-10:] = 0
    with pytest.raises(UserError, match="the newest 10 training rows do not hold every class") as caught:
        fit(rows, target, project_for(), settings_for())
    assert "calibration.share" in caught.value.fix
    target[-20:] = 1
    target[-5:] = 2
    with pytest.raises(UserError, match="newest 10 training rows"):
        fit(rows, target, project_for(), settings_for(**multiclass()))
    with pytest.raises(UserError, match="newest 0 training rows"):
        fit(rows.head(4), np.array([0, 1, 0, 1]), project_for(), settings_for())


def test_features_that_do_not_fit_are_a_mistake_of_the_project(project_for, settings_for, rows_for) -> None:
    rows = rows_for()
    for build in (lambda columns: None.build, lambda columns: ColumnTransformer([("a", "passthrough", ["word"])])):
        with pytest.raises(UserError, match="features.py"):
            fit(rows, rows["binary"].to_numpy(), project_for(build_features=build), settings_for(**PLAIN))
