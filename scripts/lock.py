"""Resolve pyproject.toml into requirements.lock: hashes for every platform and Python, and no index address.

Versions that still fit stay as they are; pass ``--upgrade`` (or ``--upgrade-package NAME``) to move them.
requirements-light.lock follows: the dependency group `light`, at the versions of requirements.lock.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

LOCK, LIGHT = Path("requirements.lock"), Path("requirements-light.lock")
FLAGS = (
    "--universal",
    "--generate-hashes",
    "--python-version=3.11",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--quiet",
)


def main(arguments: list[str]) -> int:
    """Write both locks and return 0, or return 1 and leave them alone."""
    with tempfile.TemporaryDirectory() as folder:
        fresh, light = Path(folder, LOCK.name), Path(folder, LIGHT.name)
        if LOCK.exists():
            fresh.write_bytes(LOCK.read_bytes())
        problem = _resolve(fresh, ["--group=dev", *arguments, "pyproject.toml"]) or _resolve(
            light, [f"--constraints={fresh}", "--group=pyproject.toml:light"]
        )
        if problem:
            print(f"mainline: requirements.lock stays as it was: {problem}", file=sys.stderr)
            return 1
        for made, kept in ((fresh, LOCK), (light, LIGHT)):
            text = made.read_text(encoding="utf-8")
            if not kept.exists() or kept.read_text(encoding="utf-8") != text:
                kept.write_text(text, encoding="utf-8", newline="\n")
    return 0


def _resolve(into: Path, what: Sequence[str]) -> str:
    """Write a lock; return what is wrong and what helps, empty when all is well."""
    command = [sys.executable, "-m", "uv", "pip", "compile", *FLAGS, *what, "-o", str(into)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        words = re.sub(r"://[^/\s@]+@", "://***@", " ".join(done.stderr.split())[-400:])
        return f"{words}; fix: check the network and the versions in pyproject.toml"
    flags = r"^.*(?:://|--(?:extra-)?index-url|--find-links).*$"
    if address := re.search(flags, into.read_text(encoding="utf-8"), re.MULTILINE):
        return f"it would hold an address: {address[0].strip()[:60]}; fix: depend on names, not on addresses"
    return ""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
