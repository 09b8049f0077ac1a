"""The service, its prediction log, and batch scoring."""
