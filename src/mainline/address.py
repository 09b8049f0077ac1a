"""Addresses as they may be shown."""

from __future__ import annotations

import re


def shown(text: str) -> str:
    """Return ``text`` with user, password, query and fragment of every address in it taken out."""
    return re.sub(r"(://[^\s?#]*)[?#]\S*", r"\1", re.sub(r"(?<=://)[^/\s]*@", "", text))
