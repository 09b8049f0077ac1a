"""Retraining: new batches on a branch of their own, and a pull request that people and gates decide about."""
