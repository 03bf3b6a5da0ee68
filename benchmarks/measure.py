"""Clocks and memory."""

import resource
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def least_seconds(work: Callable[[], object], rounds: int = 7) -> tuple[float, float]:
    """Return the least wall and CPU seconds of several rounds, after one that warms up."""
    work()
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)


def free_port() -> int:
    """Return a port of this machine at which nothing answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def peak_mb() -> float:
    """Return the most memory this process has held [MB].

    Notes
    -----
    Not ``ru_maxrss``, which a process begins with that of the one that started it.
    """
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def resident_mb() -> float:
    """Return the memory this process holds now [MB]."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def table(rows: list[tuple[str, ...]]) -> None:
    """Print rows as aligned columns; the first row is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def seconds(work: Callable[[], object]) -> float:
    """Return the wall seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of them are below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
