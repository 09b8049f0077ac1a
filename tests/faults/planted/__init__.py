"""The planted faults: where they are planted, how they are run, and what must stop them."""
