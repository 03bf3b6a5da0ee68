"""Run a program that is told to end (SIGTERM) when its parent dies, however that dies.

``python -I -S tether.py PARENT PROGRAM ARGUMENT...``

A program of its own rather than a hook between fork and exec, which is not safe in a
process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent and become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we were tied to it
        sys.exit(143)
    try:
        os.execvp(program[0], program)  # noqa: S606  becoming the program is the purpose
    except OSError as error:
        sys.exit(f"{program[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    main()
