"""What a user would write instead of the pipeline: read, fit, calibrate and score the same data in one script."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, PowerTransformer

rows = pd.concat([pd.read_csv(path) for path in sorted(Path("data").glob("*.csv"))])
rows = rows.sort_values(["contact_date", "row_id"])
train = rows[rows["contact_date"] < "2009-03-19"]
test = rows[(rows["contact_date"] >= "2009-03-19") & (rows["contact_date"] <= "2009-05-17")]
held = round(len(train) * 0.1)

cut = KBinsDiscretizer(8, encode="onehot-dense", quantile_method="averaged_inverted_cdf")
model = make_pipeline(
    make_column_transformer(
        (cut, ["age", "balance"]),
        (PowerTransformer(), ["campaign", "pdays", "previous"]),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            ["job", "marital", "education", "default", "housing", "loan", "contact", "poutcome"],
        ),
    ),
    LogisticRegression(max_iter=2000),
)
model.fit(train[:-held], train["y"][:-held])
calibrated = CalibratedClassifierCV(FrozenEstimator(model), method="sigmoid").fit(train[-held:], train["y"][-held:])
score = calibrated.predict_proba(test)[:, 1]
truth = test["y"].eq("yes")
for metric in (roc_auc_score, average_precision_score, brier_score_loss, log_loss):
    print(f"{metric.__name__} {metric(truth, score):.4f}")
