"""What a runner of another engine does: read a request, work, take the time, write the answer.

This file and the runners run in the peers' environments: they import nothing of CroweTrade. A
request is an .npz of bars (`ts open high low close`, by bar or by bar and instrument, `pairs` for a
sweep) with `parameters`, a JSON text. With `bounds`, shape (n + 1,), the bars are those of n
instruments end to end, simulated one by one. The answer is an .npz of `trades` and `report`, a JSON
text.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

TRADE = np.dtype(
    [
        ("instrument", np.int64),  # its place in `bounds`, else 0
        ("entry_bar", np.int64),
        ("exit_bar", np.int64),  # -1 while open
        ("quantity", np.float64),  # bought > 0
        ("entry_price", np.float64),
        ("exit_price", np.float64),  # NaN while open
        ("costs", np.float64),  # of both fills
    ]
)
Columns = dict[str, Any]
Parameters = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """The end of one simulation; `trades` makes the table, outside the time taken."""

    equity: float
    n_trades: int
    trades: Callable[[], Sequence[tuple[float, ...]]] = tuple


Work = Callable[[Columns, Parameters], Outcome]


@dataclass
class Loading:
    """CPU and wall seconds that went into handing bars over, which are not counted."""

    cpu: float = 0.0
    wall: float = 0.0


LOADING = Loading()


class Untimed:
    """Keep what happens inside out of the time taken."""

    def __enter__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        LOADING.cpu += time.process_time() - self._cpu
        LOADING.wall += time.perf_counter() - self._wall


def serve(version: str, work_of: dict[str, Work]) -> None:
    """Answer the request named in argv[1] in the file named in argv[2]."""
    with np.load(sys.argv[1]) as request:
        columns = {name: request[name] for name in request.files if name != "parameters"}
        parameters = json.loads(str(request["parameters"]))
    work = work_of[parameters["task"]]
    if "bounds" in columns:
        outcomes, report = _one_by_one(work, columns, parameters)
    else:
        outcomes, report = _in_rounds(work, columns, parameters)
    report["version"] = version
    report["peak_mb"] = _peak_mb()
    rows = [(place, *row) for place, outcome in enumerate(outcomes) for row in outcome.trades()]
    np.savez(sys.argv[2], trades=np.array(rows, dtype=TRADE), report=json.dumps(report))


def _one_by_one(
    work: Work, columns: Columns, parameters: Parameters
) -> tuple[list[Outcome], dict[str, Any]]:
    bounds = columns.pop("bounds")
    outcomes = [
        work({name: column[first:end] for name, column in columns.items()}, parameters)
        for first, end in pairwise(bounds)
    ]
    return outcomes, {
        "equity": [outcome.equity for outcome in outcomes],
        "n_trades": [outcome.n_trades for outcome in outcomes],
    }


def _in_rounds(
    work: Work, columns: Columns, parameters: Parameters
) -> tuple[list[Outcome], dict[str, Any]]:
    outcome, cold = _timed(work, columns, parameters)
    warm = [_timed(work, columns, parameters)[1] for _ in range(parameters.get("rounds", 0))]
    return [outcome], {
        "equity": outcome.equity,
        "n_trades": outcome.n_trades,
        "cold_cpu": cold[0],
        "cold_wall": cold[1],
        "cpu": min((cpu for cpu, _ in warm), default=cold[0]),
        "wall": min((wall for _, wall in warm), default=cold[1]),
    }


def _peak_mb() -> float:
    # Not getrusage: there a child begins with the peak of the process that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split(maxsplit=1)[0]) / 1024


def _timed(
    work: Work, columns: Columns, parameters: Parameters
) -> tuple[Outcome, tuple[float, float]]:
    LOADING.cpu = LOADING.wall = 0.0
    cpu, wall = time.process_time(), time.perf_counter()
    outcome = work(columns, parameters)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return outcome, (cpu - LOADING.cpu, wall - LOADING.wall)


def round_trips(fills: Sequence[tuple[int, float, float, float]]) -> list[tuple[float, ...]]:
    """Pair the fills (bar, quantity, price, costs) of one unit that is bought, then sold."""
    rows: list[tuple[float, ...]] = []
    for bar, quantity, price, costs in fills:
        if quantity > 0:
            rows.append((bar, -1, quantity, price, np.nan, costs))
        else:
            entry_bar, _, bought, entry_price, _, paid = rows[-1]
            rows[-1] = (entry_bar, bar, bought, entry_price, price, paid + costs)
    return rows
