"""Whether what a study shows beats its benchmark: its best trial, and its account out of sample."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtests.jobs import accounts
from backtests.jobs.collecting import Collected
from backtests.jobs.trials import Bench
from backtests.validation import SelectionSettings, StatisticsError, excess_report
from crowetrade_site.core import storage

FloatArray = NDArray[np.float64]
N_RESAMPLES = 1_000


def judge(
    bench: Bench, collected: Collected, shown: Mapping[str, Any], n_counted: int
) -> dict[str, Any]:
    """Return the tests over the benchmark and, of a walk-forward, those of its account.

    Parameters
    ----------
    shown : mapping
        Artefacts of the account that the page shows, by name.
    n_counted : int
        Trials that the ledger counts on this data: the best was chosen among them, the account out
        of sample was not.
    """
    name = bench.spec.benchmark
    found: dict[str, Any] = {"benchmark": None if name is None else name.split("@", 1)[0]}
    if name is not None and collected.best is not None:
        returns = accounts.returns_of(accounts.account_of(bench, collected.best.parameters))[1:]
        found["best"] = _over_benchmark(bench, returns, bench.benchmark, n_counted)
    if bench.spec.walk_forward is not None and "curves.parquet" in shown:
        returns, levels = _curves(shown)
        found["outside"] = {"cash": _tested(bench, returns, None, 1)}
        if name is not None:
            found["outside"]["benchmark"] = _over_benchmark(bench, returns, levels, 1)
    return found


def _curves(shown: Mapping[str, Any]) -> tuple[FloatArray, FloatArray | None]:
    """Return the returns of a stored account from its second bar on, and its benchmark's levels."""
    table = pq.read_table(storage.locate(shown["curves.parquet"]["digest"]))
    equity, change = (table[name].to_numpy() for name in ("equity", "equity_change"))
    before = equity - change
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.where(before > 0.0, change / before, 0.0)
    levels = table["benchmark"].to_numpy() if "benchmark" in table.column_names else None
    return returns[1:], levels


def _over_benchmark(
    bench: Bench, returns: FloatArray, levels: FloatArray | None, n_trials: int
) -> dict[str, Any]:
    if levels is None or not np.isfinite(levels).all():
        return {"reason": "not computed, because the benchmark has no price at some bars"}
    return _tested(bench, returns, levels[1:] / levels[:-1] - 1.0, n_trials)


def _tested(
    bench: Bench, returns: FloatArray, benchmark: FloatArray | None, n_trials: int
) -> dict[str, Any]:
    """Return the report on some returns over others, over cash where there are none."""
    periods = bench.periods_per_year
    if periods is None:
        return {"reason": "not computed, because the bars of a year are not known"}
    settings = SelectionSettings(n_resamples=N_RESAMPLES, seed=bench.spec.seed)
    try:
        return excess_report(
            returns, benchmark, periods_per_year=periods, n_trials=n_trials, settings=settings
        ).to_dict()
    except StatisticsError as error:
        return {"reason": f"not computed, because {error}"}
