"""From rows to a model file."""
