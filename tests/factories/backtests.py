"""The smallest valid rows of datasets and runs, and a small real dataset."""

import csv
import random
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User

from backtests.lifecycle import DatasetStatus, RunStatus
from backtests.models import Dataset, Run

SYMBOLS = ("AAA", "BBB", "CCC")
FIRST_DAY = date(2024, 1, 1)
STRATEGY: dict[str, Any] = {
    "signals": [{"kind": "moving_average_cross", "fast_bars": 2, "slow_bars": 5}],
    "portfolio": {"kind": "equal_weight", "rebalance": {"kind": "on_change"}},
}
BARS = {"kind": "bars", "layout": "long", "currency": "USD"}
AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
_numbers = count(1)


def write_bars(
    path: Path, *, symbols: tuple[str, ...] = SYMBOLS, n_days: int = 60, seed: int = 3
) -> Path:
    """Write daily bars that wander, one row per instrument and weekday."""
    wander = random.Random(seed)
    price = dict.fromkeys(symbols, 100.0)
    day, rows = FIRST_DAY, []
    while len(rows) < n_days * len(symbols):
        if day.weekday() < 5:
            for symbol in symbols:
                opened = price[symbol]
                price[symbol] = closed = round(opened * (1 + wander.gauss(0.0005, 0.01)), 4)
                high, low = max(opened, closed) + 0.5, min(opened, closed) - 0.5
                rows.append([day, symbol, opened, high, low, closed, 1000])
        day += timedelta(days=1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", "symbol", "open", "high", "low", "close", "volume"])
        writer.writerows(rows)
    return path


def bars_dataset(folder: Path, owner: User, name: str = "tiny", **shape: Any) -> Dataset:
    """Import a small file through the real importer."""
    from backtests.jobs.imports import import_file_as
    from backtests.marketdata.options import ImportOptions

    path = write_bars(folder / f"{name}-{next(_numbers)}.csv", **shape)
    options = ImportOptions.from_mapping(BARS)
    return import_file_as(path=path, name=name, options=options, actor=owner)[0]


def write_quotes(path: Path, *, n_quotes: int = 120, seed: int = 3) -> Path:
    """Write quotes of one instrument that wander, a second apart, 0.02 to 0.06 wide."""
    wander = random.Random(seed)
    moment, mid = datetime(2024, 1, 2, 15, 0, tzinfo=UTC), 100.0
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ts", "symbol", "bid", "ask"])
        for _ in range(n_quotes):
            moment += timedelta(seconds=1)
            mid *= 1 + wander.gauss(0.0, 0.0005)
            half = wander.choice([0.01, 0.02, 0.03])
            writer.writerow([moment.isoformat(), "XYZ", f"{mid - half:.4f}", f"{mid + half:.4f}"])
    return path


def quotes_dataset(folder: Path, owner: User, name: str = "ticks", **shape: Any) -> Dataset:
    """Import quotes through the real importer."""
    from backtests.jobs.imports import import_file_as
    from backtests.marketdata.options import ImportOptions

    path = write_quotes(folder / f"{name}-{next(_numbers)}.csv", **shape)
    options = ImportOptions.from_mapping({"kind": "quotes", "currency": "USD"})
    return import_file_as(path=path, name=name, options=options, actor=owner)[0]


def dataset_row(owner: User, **columns: Any) -> Dataset:
    """Return a dataset row without arrays."""
    number = next(_numbers)
    plain: dict[str, Any] = {
        "name": f"rows-{number}",
        "status": DatasetStatus.READY,
        "version": 1,
        "kind": "bars",
        "digest": f"{number:064x}",
        "manifest": {"content": {"symbols": list(SYMBOLS)}},
        "imported_by": owner,
    }
    if columns.get("status") in {DatasetStatus.IMPORTING, DatasetStatus.REFUSED}:
        plain |= {"version": None, "digest": ""}
    return Dataset.objects.create(**plain | columns)


def run_row(dataset: Dataset, owner: User, status: str = RunStatus.QUEUED, **columns: Any) -> Run:
    """Return a run row in a state, with what the state must have and no more."""
    lasting: dict[str, Any] = {
        RunStatus.QUEUED: {},
        RunStatus.RUNNING: {"attempt": 1, "lease_expires_at": AT, "started_at": AT},
        RunStatus.SUCCEEDED: {"finished_at": AT, "result_digest": "e" * 64},
        RunStatus.FAILED: {"finished_at": AT, "problem": {"title": "Broken", "detail": "It fell"}},
        RunStatus.CANCELLED: {"finished_at": AT},
    }[RunStatus(status)]
    plain = {
        "kind": "backtest",
        "status": status,
        "spec": {"kind": "backtest", "dataset": dataset.name, "strategy": STRATEGY},
        "spec_digest": "a" * 64,
        "strategy_digest": "b" * 64,
        "dataset": dataset,
        "requested_by": owner,
        "queued_at": AT,
    }
    return Run.objects.create(**plain | lasting | columns)


def spec(dataset: str = "tiny", **more: Any) -> dict[str, Any]:
    """Return the document of a run."""
    return {"dataset": dataset, "strategy": STRATEGY} | more


def queued(owner: User, dataset: str = "tiny", **more: Any) -> Run:
    """Queue a run through the service."""
    from backtests import services

    return services.queue_run(document=spec(dataset, **more), actor=owner, at=AT)


SEARCH: dict[str, Any] = {
    "kind": "grid",
    "over": {"signals.0.fast_bars": [2, 3, 4, 6], "signals.0.slow_bars": [4, 5, 8]},
    "objective": "sharpe",
}


def swept(owner: User, dataset: str = "tiny", **more: Any) -> Run:
    """Queue a sweep through the service."""
    return queued(owner, dataset, kind="sweep", **{"search": SEARCH} | more)


def work_off(run: Run) -> Run:
    """Do what workers do of a study, in this process."""
    from backtests import jobs

    messages = jobs.execute_run(run_id=run.public_id, worker="test")
    while messages:
        following = jobs.execute_chunk(chunk_id=messages.pop(0), worker="test")
        messages += following.chunks
        if following.study is not None:
            messages += jobs.execute_run(run_id=following.study, worker="test")
    return Run.objects.with_dataset().get(pk=run.pk)


def study(owner: User, folder: Path, **more: Any) -> Run:
    """Return a sweep on a real dataset that workers have finished."""
    return work_off(swept(owner, bars_dataset(folder, owner).name, **more))
