"""Whether a backtest looks ahead: what it decided must not change with bars that were to come.

The run's spec is computed on its own bars, and again on futures in which the bars after a cut are
other ones. What was decided, ordered, filled and earned up to the cut must be the same bits.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from django.conf import settings as site

from backtests.engine import Targets, simulate
from backtests.engine.config import ENGINE_VERSION
from backtests.jobs.artifacts import moment
from backtests.jobs.backtest import REFUSALS, decide
from backtests.jobs.lease import Lease
from backtests.jobs.market import Market, load_market, market_of
from backtests.jobs.prefixes import (
    Checked,
    Difference,
    Played,
    bytes_needed,
    check_prefixes,
    count_decisions,
)
from backtests.jobs.reproduction import compared
from backtests.jobs.settings import setup_of
from backtests.marketdata.panel import Panel
from backtests.models import Run
from backtests.runspec import RunSpec
from crowetrade_site.core import canonical, provenance
from crowetrade_site.core.errors import DomainError, InvalidInput, translating

PHASE = "other futures"
SAME_CLOSE = "same_close_with_look_ahead"


class LooksAhead(DomainError):
    """Something was decided otherwise because of bars that were still to come."""

    slug, status, title = "looks-ahead", 409, "The run looks ahead"


class OtherResult(DomainError):
    """The run no longer comes out as it was recorded, so there is nothing to check."""

    slug, status, title = "other-result", 409, "The run comes out other than it was recorded"


def compute(run: Run, lease: Lease) -> dict[str, Any]:
    """Return the columns of a check; a problem among them where the run looks ahead.

    The original is computed first: only where that is the recorded result to the last bit is the
    check one of that run. Else it is a reproduction that failed, and is told as one. Cuts and
    futures come from a seed that nobody chooses, and that nobody knows while the check waits and
    could still be taken back; it is kept with what was found: the same seed, the same check.

    Raises
    ------
    InvalidInput
        Data and spec do not go together, no bar follows any other, or other bars take more memory
        than a check may have.
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
        _require_memory(market.panel, base)
        seed = _seed_of(run)
        checked = check_prefixes(
            market.panel, base,
            lambda panel: play(
                spec, market, panel, start=base.start, beat=lambda: lease.phase(PHASE)
            ),
            np.random.default_rng(seed.int), on_progress=lease.progress,
        )  # fmt: skip
    n_decided_ahead = len(checked.differences)
    if has_seen := setup_of(spec).fills.has_look_ahead:
        checked = _with_fills_seen(base, checked)
    found = _found(original, base, market, checked) | {
        "seed": str(seed), "fills_look_ahead": int(has_seen), "n_decided_ahead": n_decided_ahead,
    }  # fmt: skip
    columns: dict[str, Any] = {
        "result_digest": canonical.digest(found),
        "summary": {
            "causality": {**found, "is_same_code": _is_same_code(original)},
            "engine_version": ENGINE_VERSION,
            "first_at": moment(int(base.result.ts[0])),
            "last_at": moment(int(base.result.ts[-1])),
        },
    }
    if found["n_differing"]:
        columns["problem"] = LooksAhead(sentence(found)).problem()
    return columns


def _seed_of(run: Run) -> UUID:
    """Return what cuts and futures are drawn from, the same at each attempt."""
    Run.objects.filter(pk=run.pk, seed=None).update(seed=uuid4())
    run.refresh_from_db(fields=["seed"])
    assert run.seed is not None  # noqa: S101 - it was drawn just now
    return run.seed


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
    return Played(result, start, composed.weights, market.start)


def _require_memory(panel: Panel, base: Played) -> None:
    """Refuse before any other future is drawn what would take the worker's memory."""
    if (needed := bytes_needed(panel, base)) > site.CAUSALITY_MAX_BYTES:
        raise InvalidInput(
            f"Other futures of this run take {needed / 2**20:,.0f} MB and a check may have "
            f"{site.CAUSALITY_MAX_BYTES / 2**20:,.0f}: run it on fewer instruments or a shorter "
            "window, or have CROWETRADE_CAUSALITY_MAX_MB allow more."
        )


def _with_fills_seen(base: Played, checked: Checked) -> Checked:
    """Add that what was filled up to a cut was filled at a close that its decision had seen.

    Other bars to come show nothing of it: the price was there, but not to be had any more.
    """
    fills = base.result.fills["bar"]
    if not fills.size:
        return checked
    first = int(fills.min())
    after = [cut for cut in checked.cuts if cut >= first] or [checked.cuts[-1]]
    by_cut = {cut: Difference(cut, first, "fill") for cut in after}
    by_cut |= {
        one.cut: one for one in checked.differences if one.cut not in by_cut or one.bar < first
    }
    return replace(checked, differences=tuple(by_cut[cut] for cut in sorted(by_cut)))


def _found(original: Run, base: Played, market: Market, checked: Checked) -> dict[str, Any]:
    first, stamps = checked.first, market.panel.ts[base.start :]
    return {
        "of": str(original.public_id),
        "n_cuts": len(checked.cuts),
        "n_futures": 2 * len(checked.cuts),
        "n_differing": len(checked.differences),
        "n_responding": checked.n_responding,
        "n_bars": int(base.result.ts.size),
        "n_decisions": count_decisions(base),
        "first_difference": -1 if first is None else first.bar,
        "cuts": [moment(int(market.panel.ts[base.start + cut])) for cut in checked.cuts],
        "difference": None
        if first is None
        else asdict(first)
        | {
            "at": moment(int(stamps[first.bar])),
            "cut_at": moment(int(market.panel.ts[base.start + first.cut])),
        },
    }


def _is_same_code(original: Run) -> bool:
    return provenance.code_digest() == original.code_digest


def sentence(found: dict[str, Any]) -> str:
    """Return in words what first looks ahead, of what a check found."""
    first = found["difference"]
    if found["fills_look_ahead"] and first["what"] == "fill":
        return (
            f"Orders are filled at the close they were decided on (fills.at: {SAME_CLOSE}), first "
            f"on {first['at']} (bar {first['bar']}): the decision had seen the price. next_open "
            "and next_close can be traded."
        )
    return (
        f"With other bars after {first['cut_at']} the {first['what']} of {first['at']} (bar "
        f"{first['bar']}) is another: it was decided by bars still to come. So it is at "
        f"{found['n_differing']} of {found['n_cuts']} cuts."
    )
