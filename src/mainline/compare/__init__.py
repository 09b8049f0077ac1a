"""Champion against challenger: same rows, each through its own code, and a verdict with reasons."""
