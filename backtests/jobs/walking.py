"""Out of sample: what the choices of a study's folds did, stitched into one account."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests.engine.metrics import compute_metrics_table
from backtests.jobs import accounts, backtest
from backtests.jobs.collecting import Choice
from backtests.jobs.folds import figures_of, gaps_of, paths_of, purged_bars
from backtests.jobs.lease import Lease
from backtests.jobs.trials import Bench
from backtests.models import Run
from backtests.search import FoldedSearch, Search
from backtests.validation import Split
from strategies.pipeline import TargetWeights

FloatArray = NDArray[np.float64]
PATH_FIGURES = ("total_return", "cagr", "annual_volatility", "sharpe", "max_drawdown")


def walk(
    run: Run, bench: Bench, choices: Sequence[Choice], parameters: Sequence[Mapping[str, Any]],
    lease: Lease,
) -> dict[str, Any]:  # fmt: skip
    """Return the columns of the one account that follows every fold's choice through its test.

    Notes
    -----
    It is simulated once, under the fills, costs and account of the spec, which a walk-forward does
    not search: where a fold hands over to the next, the account trades from what the one held to
    what the other wants.
    """
    first = bench.folds[choices[0].fold].test_ranges[0].start
    offset = bench.market.start
    stitched: TargetWeights | None = None
    before: Mapping[str, Any] | None = None
    for choice, chosen in zip(choices, parameters, strict=True):
        lease.progress(choice.fold, len(bench.folds))
        composed = accounts.composed(bench, chosen)
        if stitched is None:
            nothing = np.full(composed.weights.shape, np.nan)
            stitched = replace(composed, weights=nothing, left_out=())
        for part in bench.folds[choice.fold].test_ranges:
            begin, end = part.start + offset, part.stop + offset
            stitched.weights[begin:end] = composed.weights[begin:end]
            if chosen != before:
                stitched.weights[begin] = _in_force(composed.weights, begin)
        before = chosen
    assert stitched is not None  # noqa: S101 - there is a first choice
    decided = np.flatnonzero(~np.isnan(stitched.weights).all(axis=1))
    stitched = replace(
        stitched, n_decisions=int(decided.size),
        first_decision=int(decided[0]) if decided.size else None,
    )  # fmt: skip
    market = bench.market.beginning(first + offset)
    return backtest.outcome_of(run, bench.spec, market, lease, decided=stitched)


def _in_force(weights: FloatArray, row: int) -> FloatArray:
    """Return the weights that a strategy wants at a row: its last decision for each instrument."""
    wanted = np.full(weights.shape[1], np.nan)
    for asset in range(weights.shape[1]):
        decided = np.flatnonzero(~np.isnan(weights[: row + 1, asset]))
        if decided.size:
            wanted[asset] = weights[decided[-1], asset]
    return wanted


def summary_of_walk(
    bench: Bench, found: Search, choices: Sequence[Choice], parameters: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what a page shows of the folds: windows, choices, and how much was lost outside.

    Notes
    -----
    Both means are over the folds whose test has a figure, the trainings of all if none has, each
    fold by the bars of its test: the last one may be short, and its figure wild.
    Efficiency is the mean in the tests over that in the trainings: 1 keeps all. An objective that
    is minimized has none, because there more is worse.
    """
    train = np.array([choice.train for choice in choices])
    test = np.array([choice.test for choice in choices])
    known = ~np.isnan(test)
    weights = np.array([_n_test_bars(bench.folds[choice.fold]) for choice in choices], np.float64)
    mean_test = float(np.average(test[known], weights=weights[known])) if known.any() else None
    counted = known if known.any() else np.ones_like(known)
    mean_train = float(np.average(train[counted], weights=weights[counted]))
    is_share = found.goals.maximized[0] and mean_train > 0.0
    distinct = {str(sorted(one.items())) for one in parameters}
    return {
        "folds": [
            _fold(bench, bench.folds[choice.fold], choice, chosen)
            for choice, chosen in zip(choices, parameters, strict=True)
        ],
        "mean_train": mean_train,
        "mean_test": mean_test,
        "efficiency": mean_test / mean_train if is_share and mean_test is not None else None,
        "n_without_test": int(np.count_nonzero(~known)),
        "n_distinct": len(distinct),
        "n_without_choice": len(bench.folds) - len(choices),
        "n_per_fold": found.n_per_fold if isinstance(found, FoldedSearch) else found.n_trials,
        "is_apart": isinstance(found, FoldedSearch),  # each fold has searched by itself
    }


def _n_test_bars(fold: Split) -> int:
    return sum(one.stop - one.start for one in fold.test_ranges)


def _fold(bench: Bench, fold: Split, choice: Choice, chosen: Mapping[str, Any]) -> dict[str, Any]:
    purge, embargo = gaps_of(fold, purged_bars(bench.spec, bench.bars.ts))
    return {
        "train": _days(bench, fold.train_ranges),
        "test": _days(bench, fold.test_ranges),
        "purge": _days(bench, purge),
        "embargo": _days(bench, embargo),
        "parameters": dict(chosen),
        "train_value": choice.train,
        "test_value": None if np.isnan(choice.test) else choice.test,
        "rank": None if np.isnan(choice.rank) else choice.rank,
    }


def _days(bench: Bench, ranges: Sequence[Any]) -> list[list[str]]:
    stamps = bench.bars.ts.view("datetime64[ns]")
    ends = [(stamps[one.start], stamps[one.stop - 1]) for one in ranges]
    return [[str(first)[:10], str(last)[:10]] for first, last in ends]


def paths(
    bench: Bench, choices: Sequence[Choice], parameters: Sequence[Mapping[str, Any]], lease: Lease
) -> list[dict[str, Any]]:
    """Return the figures of every path of a combinatorial cross-validation.

    Notes
    -----
    Returns of a test are those of the chosen parameters' own account, which runs through all bars.
    """
    splits = paths_of(bench.spec, bench.bars.ts)
    returns: dict[str, FloatArray] = {}
    outcomes = []
    by_fold = {choice.fold: dict(one) for choice, one in zip(choices, parameters, strict=True)}
    for number, fold in enumerate(splits.splits):
        lease.progress(number, len(splits.splits))
        if number not in by_fold:  # nothing was chosen: the path holds cash there
            outcomes.append(np.zeros(fold.test.size))
            continue
        name = str(sorted(by_fold[number].items()))
        if name not in returns:
            account = accounts.account_of(bench, by_fold[number])
            returns[name] = accounts.returns_of(account)
        outcomes.append(returns[name][fold.test])
    curves = np.cumprod(1.0 + splits.assemble(outcomes).T, axis=0)
    curves = np.vstack([np.ones(curves.shape[1]), curves])
    ts = bench.bars.ts
    stamps = np.concatenate([[ts[0] - max(1, int(ts[1] - ts[0]))], ts])
    table = compute_metrics_table(curves, stamps, periods_per_year=bench.periods)
    figures = [figures_of(table, at)[0] for at in range(curves.shape[1])]
    return [{name: one[name] for name in PATH_FIGURES} for one in figures]
