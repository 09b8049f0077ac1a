"""Batches in, checked rows out."""
