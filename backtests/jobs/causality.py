"""Whether a backtest looks ahead: what it decided must not change with bars that were to come.

The run's spec is computed on its own bars, and again on futures in which the bars after a cut are
other ones. What was decided, ordered, filled and earned up to the cut must be the same bits.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from backtests.engine import Targets, simulate
from backtests.engine.config import ENGINE_VERSION
from backtests.jobs.artifacts import moment
from backtests.jobs.backtest import REFUSALS, decide
from backtests.jobs.lease import Lease
from backtests.jobs.market import Market, load_market, market_of
from backtests.jobs.prefixes import Checked, Played, check_prefixes, count_decisions
from backtests.jobs.reproduction import compared
from backtests.jobs.settings import setup_of
from backtests.marketdata.panel import Panel
from backtests.models import Run
from backtests.runspec import RunSpec
from crowetrade_site.core import canonical, provenance
from crowetrade_site.core.errors import DomainError, InvalidInput, translating

PHASE = "other futures"


class LooksAhead(DomainError):
    """Something was decided otherwise because of bars that were still to come."""

    slug, status, title = "looks-ahead", 409, "The run looks ahead"


class OtherResult(DomainError):
    """The run no longer comes out as it was recorded, so there is nothing to check."""

    slug, status, title = "other-result", 409, "The run comes out other than it was recorded"


def compute(run: Run, lease: Lease) -> dict[str, Any]:
    """Return the columns of a check; a problem among them where the run looks ahead.

    The original is computed first: only where that is the recorded result to the last bit is the
    check one of that run. Else it is a reproduction that failed, and is told as one.

    Raises
    ------
    InvalidInput
        Data and spec do not go together, or no bar follows any other.
    Cancelled, LeaseLost
        As `Lease.progress`.
    """
    original = run.reproduces
    assert original is not None  # noqa: S101 - a constraint of the table
    spec = RunSpec.model_validate(run.spec)
    lease.phase("loading")
    with translating(REFUSALS, InvalidInput):
        market = load_market(run, spec)
        lease.phase(PHASE)
        base = play(spec, market, market.panel, beat=lambda: lease.phase(PHASE))
        if base.result.digest != original.result_digest:
            return _comes_out_otherwise(original)
        if base.result.ts.size < 2:
            raise InvalidInput("The run has one bar: none comes after it that could be another.")
        checked = check_prefixes(
            market.panel, base,
            lambda panel: play(
                spec, market, panel, start=base.start, beat=lambda: lease.phase(PHASE)
            ),
            np.random.default_rng(int(original.result_digest, 16)), on_progress=lease.progress,
        )  # fmt: skip
    found = _found(original, base, checked)
    columns: dict[str, Any] = {
        "result_digest": canonical.digest(found),
        "summary": {
            "causality": {**found, "is_same_code": _is_same_code(original)},
            "engine_version": ENGINE_VERSION,
            "first_at": moment(int(base.result.ts[0])),
            "last_at": moment(int(base.result.ts[-1])),
        },
    }
    if checked.differences:
        columns["problem"] = LooksAhead(sentence(found)).problem()
    return columns


def _comes_out_otherwise(original: Run) -> dict[str, Any]:
    """Return the columns of a check that found its run not reproduced, and nothing else."""
    found = compared(original, is_same=False)
    problem = OtherResult(
        "The run comes out other than it was recorded; manage.py reproduce "
        f"{original.public_id} says where it differs."
    ).problem()
    summary = {"reproduction": found, "engine_version": ENGINE_VERSION}
    return {"result_digest": canonical.digest(found), "summary": summary, "problem": problem}


def play(
    spec: RunSpec, market: Market, panel: Panel, *, start: int | None = None,
    beat: Callable[[], None] = lambda: None,
) -> Played:  # fmt: skip
    """Decide and trade on a panel, with the account from `start` on, by default as the spec has it.

    Signals see all of the panel; the strategy decides from where it may on the market's own. `beat`
    is called between slices of the work; what it raises stops it.
    """
    there = market_of(panel, market.start, market.currency)
    composed = decide(spec, there)
    if start is None:
        begins = composed.first_decision if spec.start is None else None
        start = market.start if begins is None else begins
    traded = replace(there, start=start)
    targets = Targets(composed.weights[start:], kind="weights")
    settings = setup_of(spec)._asdict()
    result = simulate(traded.bars(), targets, **settings, on_progress=lambda *_: beat())
    return Played(result, start, composed.weights)


def _found(original: Run, base: Played, checked: Checked) -> dict[str, Any]:
    first = checked.first
    return {
        "of": str(original.public_id),
        "n_cuts": len(checked.cuts),
        "n_differing": len(checked.differences),
        "n_responding": checked.n_responding,
        "n_bars": int(base.result.ts.size),
        "n_decisions": count_decisions(base),
        "first_difference": -1 if first is None else first.bar,
        "cuts": [moment(int(base.result.ts[cut])) for cut in checked.cuts],
        "difference": None
        if first is None
        else asdict(first)
        | {
            "at": moment(int(base.result.ts[first.bar])),
            "cut_at": moment(int(base.result.ts[first.cut])),
        },
    }


def _is_same_code(original: Run) -> bool:
    return provenance.code_digest() == original.code_digest


def sentence(found: dict[str, Any]) -> str:
    """Return in words what first looks ahead, of what a check found."""
    first = found["difference"]
    return (
        f"With other bars after {first['cut_at']} the {first['what']} of {first['at']} (bar "
        f"{first['bar']}) is another: it was decided by bars still to come. So it is at "
        f"{found['n_differing']} of {found['n_cuts']} cuts."
    )
