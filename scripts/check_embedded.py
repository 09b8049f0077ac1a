"""Fail when the remote that is committed in the repository holds anything but the example's data, whole."""

from __future__ import annotations

import sys
from pathlib import Path

from mainline.objects import EMBEDDED, embedded_faults
from mainline.remote import is_embedded


def main() -> int:
    """Return 0 when all is well, else 1 after one line for each fault.

    Where storage of one's own is the default, nothing comes from the embedded remote, and nothing is pushed to it.
    """
    faults = embedded_faults(Path()) if is_embedded(Path()) else []
    for fault in faults:
        print(f"mainline: {EMBEDDED.as_posix()}: {fault}", file=sys.stderr)
    if faults:
        print(
            "  fix: outputs and new data belong in storage of your own (make remote URL=…); "
            f"`git clean -fd {EMBEDDED.as_posix()}` drops what git does not know, `git restore` brings back the rest",
            file=sys.stderr,
        )
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
