"""Rollout: a real Envoy in front of two releases, an analysis that may promote, hold or abort, and the way back."""
