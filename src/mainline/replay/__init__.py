"""The future, played as live traffic: rows as requests, outcomes when they are known, faults where they are wanted."""
