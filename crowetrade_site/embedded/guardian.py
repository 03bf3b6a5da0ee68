"""Outlive a killed supervisor for as long as its children need to end.

``python -I -S guardian.py GRACE_SECONDS``; standard input: ``+GROUP`` or ``-GROUP`` a line.
At the end of the input (the supervisor ended, however) the process groups still named get
their grace, because their leaders were told to end when their parent died, and are killed.
"""

import os
import signal
import sys
import time
from contextlib import suppress


def main() -> None:
    """Read groups until the supervisor is gone, then leave none behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    deadline = time.monotonic() + float(sys.argv[1])
    while (groups := {group for group in groups if lives(group)}) and time.monotonic() < deadline:
        time.sleep(0.05)
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def lives(group: int) -> bool:
    """Return whether a process group has a process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
