"""What a user would write instead of the comparison: scikit-learn's metrics in a loop over resamples, no slices."""

from __future__ import annotations

import json
import resource
import sys
from time import process_time

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

METRICS = (roc_auc_score, average_precision_score, brier_score_loss, log_loss)
loops = int(sys.argv[1])
truth = pd.read_parquet("artifacts/test.parquet", columns=["y"])["y"].eq("yes").to_numpy(dtype=int)
scores = [np.load(f"{side}_grown.npy") for side in ("champion", "challenger")]
generator = np.random.default_rng(0)
before = process_time()
drawn = []
for _ in range(loops):
    rows = generator.integers(len(truth), size=len(truth))
    drawn.append([metric(truth[rows], scores[1][rows]) - metric(truth[rows], scores[0][rows]) for metric in METRICS])
each = (process_time() - before) / loops
low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
unit = 1e6 if sys.platform == "darwin" else 1e3
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
print(json.dumps({"before": before, "resample": each, "memory": memory}))
