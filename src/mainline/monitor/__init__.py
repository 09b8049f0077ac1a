"""Watching production: windows are counted into profiles, and judged against the champion's own."""
