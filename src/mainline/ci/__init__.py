"""What the workflows call: one command a step, so that the YAML holds no logic."""
