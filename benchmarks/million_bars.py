"""A run of 1,000,000 bars through the whole platform: import, queue, worker's job, report.

Everything happens in one process on a throw-away home folder, so that memory can be told.
"""

import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import peak_mb, resident_mb, table

if TYPE_CHECKING:
    from backtests.engine import Bars

N_BARS, SEED = 1_000_000, 20261123
SPEC = {
    "dataset": "million",
    "costs": {"commission_bps": 5, "half_spread_bps": 2},
    "strategy": {
        "signals": [{"kind": "moving_average_cross", "fast_bars": 10, "slow_bars": 50}],
        "portfolio": {"kind": "equal_weight", "rebalance": {"kind": "on_change"}},
    },
}


def main() -> None:
    """Print the seconds of each step and the memory at its end."""
    with tempfile.TemporaryDirectory(prefix="crowetrade-bench-") as folder:
        os.environ["CROWETRADE_HOME"] = folder
        os.environ.setdefault(
            "NUMBA_CACHE_DIR", str(Path.home() / ".cache" / "crowetrade" / "numba")
        )
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crowetrade_site.settings")
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        _measure(Path(folder))


def random_bars(n_bars: int, step_ns: int) -> "Bars":
    """Return a log random walk with opens, highs and lows that fit."""
    from backtests.engine import Bars

    rng = np.random.default_rng(SEED)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 8e-4, n_bars)))
    open_ = np.append(close[:1], close[:-1]) * np.exp(rng.normal(0, 1e-4, n_bars))
    high, low = np.maximum(open_, close) * 1.0002, np.minimum(open_, close) * 0.9998
    ts = np.arange(1, n_bars + 1, dtype=np.int64) * step_ns
    return Bars(ts, close, open_, high, low, symbols=("RANDOM",))


def _write_bars(path: Path) -> None:
    bars = random_bars(N_BARS, 60 * 10**9)
    columns = {name: getattr(bars, name)[:, 0] for name in ("open", "high", "low", "close")}
    stamps = pa.array(bars.ts, pa.timestamp("ns", tz="UTC"))
    volume = np.full(N_BARS, 1000.0)
    pq.write_table(pa.table({"ts": stamps, **columns, "volume": volume}), path)


def _measure(folder: Path) -> None:
    from backtests import selectors, services
    from backtests.jobs import execute_run, warm_up
    from backtests.jobs.imports import import_file_as
    from backtests.marketdata.options import ImportOptions
    from crowetrade_site.core.services import console_user

    rows: list[tuple[str, ...]] = [("step", "wall s", "resident MB", "peak MB")]

    def lap(name: str, began: float) -> None:
        seconds = time.perf_counter() - began
        rows.append((name, f"{seconds:.3f}", f"{resident_mb():.0f}", f"{peak_mb():.0f}"))

    warm_up()
    lap("start", time.perf_counter())
    path = folder / "million.parquet"
    _write_bars(path)
    began = time.perf_counter()
    options = ImportOptions(kind="bars", stamp="end", symbol="RANDOM", currency="USD", bar="1m")
    import_file_as(path=path, name="million", options=options, actor=console_user())
    lap("import a Parquet file", began)
    for turn in ("first run", "second run"):
        began = time.perf_counter()
        run = services.queue_run(document=SPEC, actor=console_user(), at=datetime.now(UTC))
        execute_run(run_id=run.public_id, worker="benchmark")
        lap(turn, began)
        run = selectors.get_run(run.public_id)
        rows += [(f"  {step}", f"{s:.3f}", "", "") for step, s in run.summary["seconds"].items()]
    began = time.perf_counter()
    size = len(selectors.render_report(run)) / 1024
    lap(f"report of {size:.0f} kB", began)
    table(rows)
    print(f"{run.summary['n_fills']:,} fills, result sha256:{run.result_digest}")
