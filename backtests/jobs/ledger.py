"""The ledger of trials: what the platform evaluated, counted once, whatever it was called."""

from datetime import UTC, datetime

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
                digest=digest, scope=scope, family=run.strategy_digest,
                n_trials=n_trials, run=run, code_digest=provenance.code_digest(),
                worker=worker, recorded_at=timezone.now(),
            )
        ],
        ignore_conflicts=True,
    )  # fmt: skip


def _moment(stamp_ns: int) -> datetime:
    return datetime.fromtimestamp(int(np.int64(stamp_ns) // 1000) / 1e6, UTC)
