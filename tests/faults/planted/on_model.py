"""Faults in code and params that make a model which must not become the champion."""

from __future__ import annotations

from planted.plants import Fault, Plant, scoring, several, text

TRAINED = ("dvc repro", "mainline compare")
WORSE = ("slices", "calibration", "business value", "fairness", "behaviour")
FLOORS = ("floor", "slice floor")
STAGES, SPLIT, PROJECT = "src/mainline/stages.py", "src/mainline/data/split.py", "src/mainline/project.py"
NOT_CALIBRATED = text("params.yaml", "method: sigmoid ", "method: none ")
FEATURES, MODEL = "src/bank/features.py", "src/bank/model.py"
FIT = "src/mainline/train/fit.py"
COLUMNS = "    columns = feature_columns(project, settings)\n    arguments"
LOGISTIC = "return LogisticRegression(C=C, max_iter=2000, random_state=seed)"
BALLAST = "\n    made.ballast_ = __import__('numpy').random.default_rng(seed).random(900_000)\n    return made"
CATEGORIES = '("categories", OneHotEncoder'
PREDICT = "    probabilities = np.asarray("


def _before_predicting(line: str) -> Plant:
    return text(PROJECT, PREDICT, f"    {line}\n{PREDICT}")


def _shifted(shift: str) -> Plant:
    return scoring(f"logit = np.log(found / (1 - found)) + {shift}", "found = 1 / (1 + np.exp(-logit))")


def _code(name: str, plant: Plant, gate: str, *says: str, also: tuple[str, ...] = (), hold: bool = False) -> Fault:
    return Fault("code", name, plant, TRAINED, gate, says, "hold" if hold else "reject", also)


MODELS = [
    _code("labels shuffled before training",
          text(FIT, COLUMNS, f"    target = np.random.default_rng(0).permutation(target)\n{COLUMNS}"),
          "primary: log_loss", "worse beyond the bound", also=(*WORSE, *FLOORS)),
    _code("a constant model", several(
              text(MODEL, "sklearn.linear_model import LogisticRegression", "sklearn.dummy import DummyClassifier"),
              text(MODEL, "-> LogisticRegression", "-> DummyClassifier"),
              text(MODEL, LOGISTIC, 'return DummyClassifier(strategy="prior")')),
          "primary: log_loss", "worse beyond the bound", also=(*WORSE, *FLOORS)),
    _code("every chance halved: the ranking stays as it was", scoring("found = found * 0.5"),
          "primary: log_loss", "worse beyond the bound", also=(*WORSE, *FLOORS)),
    _code("one slice ruined, the average better",
          _shifted("np.where(frame['housing'] == 'no', 0.85, -0.27) + np.where(frame['job'] == 'student', 2.5, 0)"),
          "slices: log_loss", "worst of 17: job = student", also=("fairness", "calibration")),
    _code("young clients kept just below the threshold", scoring(
              "found = np.where(frame['age'].to_numpy() <= 30, np.minimum(found, 0.0999), found)"),
          "fairness gap", "age: champion", "held: the growth",
          also=("fairness_gap", "business value", "behaviour", "slice floor")),
    _code("a success in an earlier campaign taken for a failure", _before_predicting(
              "frame = frame.assign(poutcome=frame['poutcome'].replace({'success': 'failure', 'failure': 'success'}))"),
          "behaviour: a success in an earlier campaign raises the score", "must be", also=(*WORSE, *FLOORS, "primary")),
    _code("a missing value makes the score jump", scoring("found = np.where(frame['job'].isna(), 0.9, found)"),
          "behaviour: one value in ten is missing", "must be"),
    _code("one prediction that is not a number", scoring("found[0] = np.nan"),
          "primary: log_loss", "could not be computed", also=(*WORSE, *FLOORS, "scores"), hold=True),
    _code("five times slower for one row", scoring(
              "for _ in range(4 if len(frame) == 1 else 0):", "    model.predict_proba(frame)"),
          "latency ratio", "must be <= 3"),
    _code("a model file of 7 MB", text(MODEL, LOGISTIC, LOGISTIC.replace("return", "made =") + BALLAST),
          "size_mb", "must be <= 5", also=("size ratio", "latency")),
    _code("a feature computed otherwise in serving, where the outcome is not there",
          _before_predicting("frame = frame if 'duration' in frame else frame.assign(age=frame['age'] / 12)"),
          "scores", "predictions change when the label and what is known only afterwards are taken away"),
    Fault("code", "a leak in disguise: the features take a column that is not in COLUMNS",
          text(FEATURES, CATEGORIES, '("late", PowerTransformer(), ["duration"]),\n            ' + CATEGORIES),
          ("dvc repro",), "evaluate", ("no predictions without what is known only afterwards", "duration"), "stops"),
    _code("training on the test window", text(SPLIT, "[times_labelled < test_from]", "[times_labelled <= known_until]"),
          "split", "test rows are among the training rows", also=WORSE),
    _code("a training stage that reads the test rows, too", text(STAGES, "    rows = read_rows(TRAIN)\n",
              "    rows = __import__('pandas').concat([read_rows(TRAIN), read_rows(TEST)])\n"),
          "split", "the model was trained on 38,733 rows, artifacts/train.parquet has 31,372", also=WORSE),
    _code("a split that takes outcomes before they can be known",
          text(SPLIT, "known_until = as_of - DAY * (data.label_delay_days or 0)", "known_until = as_of"),
          "split", "later than 2009-05-17, the newest day whose outcomes are known", also=(*WORSE, *FLOORS, "primary")),
    Fault("params", "a test window that the champion was trained on",
          text("params.yaml", "test_window_days: 60", "test_window_days: 90"), TRAINED,
          "rows seen by the champion", ("of main, champion saw test rows", "rows seen by the champion: 282"),
          also=("calibration_error",)),
    _code("every chance a little too high, and fewer test rows than are needed to tell", several(
              _shifted("0.3"),
              text("params.yaml", "min_rows: 500                   # a smaller test", "min_rows: 9000  #")),
          "test rows", "too few to tell", "of main, too few rows", also=("business value",), hold=True),
    Fault("params", "a worse model: not calibrated", NOT_CALIBRATED, TRAINED, "primary: log_loss",
          ("worse beyond the bound",), also=(*WORSE, *FLOORS)),
    Fault("params", "bounds moved so that a worse model passes", several(
              NOT_CALIBRATED,
              text("params.yaml", "  margin: 0.01", "  margin: 0.5"),
              text("params.yaml", "calibration_error: 0.05", "calibration_error: 0.5"),
              text("params.yaml", "calibration_margin: 0.02", "calibration_margin: 0.5"),
              text("params.yaml", "fairness_gap: 0.35", "fairness_gap: 0.9"),
              text("params.yaml", "fairness_margin: 0.1", "fairness_margin: 0.5"),
              text("params.yaml", "slice_margin: 0.05", "slice_margin: 0.5"),
              text("params.yaml", "value_margin: 0.1", "value_margin: null")), TRAINED, "changed gate",
          ("compare.margin: from 0.01 to 0.5: this change loosens a gate", "compare.value_margin: from 0.1 to off"),
          "seen"),
    Fault("params", "a gate switched off", text("params.yaml", "fairness_gap: 0.35", "fairness_gap: null"), TRAINED,
          "changed gate", ("gates.fairness_gap: from 0.35 to off: this change loosens a gate",), "seen"),
    Fault("code", "a model that is another one on every run",
          text(FIT, COLUMNS, "    order = np.random.permutation(len(rows))\n"
               f"    rows, target = rows.iloc[order], target[order]\n{COLUMNS}"),
          ("mainline repro", "a fresh clone", "mainline ci train"), "dvc.lock",
          ("claims another model than code, data and params give", "artifacts/model.skops", "largest difference"),
          "stops"),
]  # fmt: skip
