"""From a verdict to one immutable release, its ledger entry, and what MLflow shows of it."""
