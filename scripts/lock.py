"""Resolve pyproject.toml into requirements.lock: hashes for every platform and Python, and no index address.

Versions that still fit stay as they are; pass ``--upgrade`` (or ``--upgrade-package NAME``) to move them.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

LOCK = Path("requirements.lock")
FLAGS = (
    "--universal",
    "--generate-hashes",
    "--python-version=3.11",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--group=dev",
    "--quiet",
)


def main(arguments: list[str]) -> int:
    """Write requirements.lock and return 0, or return 1 and leave the old one alone."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder, LOCK.name)
        if LOCK.exists():
            fresh.write_bytes(LOCK.read_bytes())
        command = [sys.executable, "-m", "uv", "pip", "compile", *FLAGS, *arguments, "-o", str(fresh), "pyproject.toml"]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            words = re.sub(r"://[^/\s@]+@", "://***@", " ".join(done.stderr.split())[-400:])
            return _fail(words, "check the network and the versions in pyproject.toml")
        text = fresh.read_text(encoding="utf-8")
        address = re.search(r"^.*(?:://|--(?:extra-)?index-url|--find-links).*$", text, re.MULTILINE)
        if address:
            return _fail(f"it would hold an address: {address[0].strip()[:60]}", "depend on names, not on addresses")
        if not LOCK.exists() or LOCK.read_text(encoding="utf-8") != text:
            LOCK.write_text(text, encoding="utf-8", newline="\n")
    return 0


def _fail(problem: str, fix: str) -> int:
    print(f"mainline: requirements.lock stays as it was: {problem}; fix: {fix}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
