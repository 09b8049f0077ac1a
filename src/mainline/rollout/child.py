"""Become another program, with a limit on memory and, on Linux, an end together with the parent.

Run by file name and in isolated mode: it must start in milliseconds and import nothing of ours.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, memory_mb: int, command: list[str]) -> None:
    """Replace this process by ``command``; ``parent`` 0: it outlives whoever started it, ``memory_mb`` 0: no limit."""
    if memory_mb:
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 2**20, memory_mb * 2**20))
    if parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent and os.getppid() != parent:
        sys.exit(1)  # it ended before the promise was made
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
