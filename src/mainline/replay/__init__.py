"""The future, played as live traffic: rows as requests, outcomes when they become known, faults where they are wanted."""
