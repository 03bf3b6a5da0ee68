"""Studies of many small chunks in a throw-away installation, as seen from outside."""

import os
import signal
from pathlib import Path
from typing import Any

import psycopg

from tests.crowetrade_site.embedded.faults import wait_until
from tests.faults.installation import CELERY, QUIET, Installation

SWEEP = """
kind: sweep
dataset: minutes
costs: {{commission_bps: 1, half_spread_bps: 1}}
strategy:
  signals: [{{kind: moving_average_cross, fast_bars: 2, slow_bars: 5}}]
  portfolio: {{kind: equal_weight, rebalance: {{kind: on_change}}}}
search:
  kind: grid
  over:
    signals.0.fast_bars: {{low: 2, high: {most}, step: 1}}
    signals.0.slow_bars: {{low: 41, high: 60, step: 1}}
  objective: {objective}
"""
N_BARS = 20_000
LONG = 240.0
SMALL_CHUNKS = {"CROWETRADE_CHUNK_MILLISECONDS": "60"}


def write_minutes(path: Path, *, n_bars: int, n_assets: int) -> Path:
    """Write wandering closes, one column per instrument, one row per minute."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    wander = np.random.default_rng(1)
    minutes = np.arange(n_bars) * np.timedelta64(60, "s")
    ts = np.datetime64("2020-01-01", "ns") + minutes
    columns = {"ts": pa.array(ts, pa.timestamp("ns", tz="UTC"))}
    for number in range(n_assets):
        steps = wander.normal(0.0, 1e-4, n_bars)
        columns[f"S{number}"] = np.round(100.0 * np.exp(np.cumsum(steps)), 4)
    pq.write_table(pa.table(columns), path)
    return path


def furnish_minutes(site: Installation) -> None:
    """Import the data of the studies."""
    prices = write_minutes(site.home / "prices.parquet", n_bars=N_BARS, n_assets=1)
    stated = ["--kind", "bars", "--layout", "wide", "--bar", "1m", "--stamp", "start"]
    site.manage("import_bars", str(prices), "--dataset", "minutes", "--currency", "USD", *stated)


def forget_chunks(site: Installation, letter: str) -> None:
    """Rename what was computed, so that the next study takes nothing over."""
    site.query(
        "UPDATE backtests_chunk SET content = repeat(%s, 64) WHERE length(content) = 64 "
        "RETURNING id", letter,
    )  # fmt: skip


def start_workers(site: Installation, n: int = 2, *more: str) -> None:
    """Start those that are not there."""
    for number in range(n):
        name = f"study{number}"
        if name in site.started and site.started[name].poll() is None:
            continue
        queues = ("--queues", "interactive,batch", "--concurrency", "1", "--hostname", f"{name}@%h")
        site.start(name, *CELERY, "worker", *queues, *QUIET, *more)


def spec(site: Installation, *, most: int = 40, objective: str = "sharpe") -> Path:
    path = site.home / f"sweep-{most}-{len(objective)}.yaml"
    path.write_text(SWEEP.format(most=most, objective=objective))
    return path


def await_study(site: Installation, run_id: str) -> dict:
    over = {"succeeded", "failed", "cancelled"}
    wait_until(lambda: site.run(run_id)["status"] in over, LONG)
    return site.run(run_id)


def undisturbed(site: Installation) -> tuple[str, int]:
    """Return the digest of the study, and how many trials it adds to the ledger."""
    furnish_minutes(site)
    site.start_all()
    start_workers(site)
    run = await_study(site, site.queue(spec(site)))
    assert run["status"] == "succeeded", run["problem"]
    return run["result_digest"], ledger(site)


def chunks(site: Installation, run_id: str) -> dict[str, int]:
    sql = (
        "SELECT c.status, count(*) FROM backtests_chunk c JOIN backtests_run r ON r.id = c.run_id "
        "WHERE r.public_id = %s GROUP BY 1"
    )
    try:
        return dict(site.query(sql, run_id))
    except psycopg.OperationalError:
        return {}


def ledger(site: Installation) -> int:
    ((count,),) = site.query("SELECT coalesce(sum(n_trials), 0) FROM backtests_trialbatch")
    return int(count)


def stop_workers(site: Installation, n: int = 2) -> None:
    """Kill them without a warning."""
    for number in range(n):
        name = f"study{number}"
        if name in site.started and site.started[name].poll() is None:
            os.killpg(site.started[name].pid, signal.SIGKILL)
            site.started[name].wait()


def column(site: Installation, run_id: str, name: str) -> list[Any]:
    """Return a column of the chunks of a study, in the order of its trials."""
    sql = (
        f"SELECT c.{name} FROM backtests_chunk c JOIN backtests_run r ON r.id = c.run_id "  # noqa: S608 - constants
        "WHERE r.public_id = %s ORDER BY c.first"
    )
    return [value for (value,) in site.query(sql, run_id)]
