"""The ledger of trials: what the platform evaluated, counted once, whatever it was called."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.utils import timezone

from backtests.jobs.market import Market
from backtests.models import LedgerScope, Run, TrialBatch
from backtests.runspec import as_backtest
from crowetrade_site.core import canonical, provenance


def scope_of(market: Market) -> LedgerScope:
    """Return what trials on a market are counted under: its instruments and its time."""
    symbols = sorted(market.panel.symbols)
    first, last = int(market.panel.ts[market.start]), int(market.panel.ts[-1])
    digest = canonical.digest({"symbols": symbols, "first": first, "last": last})
    scope, _ = LedgerScope.objects.get_or_create(
        digest=digest,
        defaults={"symbols": symbols, "first_at": _moment(first), "last_at": _moment(last)},
    )
    return scope


def family_of(document: Mapping[str, Any]) -> str:
    """Return the name of what a run's trials have in common: their strategy without its numbers.

    Notes
    -----
    What a search changes is mostly numbers, so that studies and backtests which differ in those
    alone, in the spec or in what is searched, are of one family. The family of a comparison is that
    of all its strategies together; where whole sections are searched it is that of the spec's own.
    """
    compared = (document.get("comparison") or {}).get("strategies")
    if compared is None:
        return canonical.digest({"family": _shape(document["strategy"])})
    shapes = sorted(canonical.digest(_shape(one)) for one in compared.values())
    return canonical.digest({"families": shapes})


def _shape(part: Any) -> Any:
    """Return a part of a strategy with a blank for each number, and for null: it stands for one."""
    if isinstance(part, Mapping):
        return {name: _shape(inner) for name, inner in part.items()}
    if isinstance(part, list | tuple):
        return [_shape(inner) for inner in part]
    is_number = isinstance(part, int | float) and not isinstance(part, bool)
    return "" if part is None or is_number else part


def record(run: Run, scope: LedgerScope, n_trials: int, parameters: str, worker: str) -> None:
    """Count some trials of a run; those that were counted before are not counted again.

    Parameters
    ----------
    parameters : str
        Digest of the list of their parameter sets.

    Notes
    -----
    A batch is named by data, spec and parameters, not by the code or the run, so that running the
    same again is no new trial. It is counted when a worker begins it: what was looked at counts,
    even if the worker is lost.
    """
    spec = as_backtest(run.spec)
    digest = canonical.digest({"spec": spec, "parameters": parameters})
    TrialBatch.objects.bulk_create(
        [
            TrialBatch(
                digest=digest, scope=scope, family=family_of(run.spec),
                n_trials=n_trials, run=run, code_digest=provenance.code_digest(),
                worker=worker, recorded_at=timezone.now(),
            )
        ],
        ignore_conflicts=True,
    )  # fmt: skip


def _moment(stamp_ns: int) -> datetime:
    return datetime.fromtimestamp(int(np.int64(stamp_ns) // 1000) / 1e6, UTC)
