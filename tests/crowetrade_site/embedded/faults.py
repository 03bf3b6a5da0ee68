"""What the tests of real processes share."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from crowetrade_site.embedded import processes


def wait_until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def kill(pid: int) -> None:
    with processes.Handle(pid) as held:
        held.send(signal.SIGKILL)
        assert held.ended(5)
