"""What a reader of a run must know, beside what the engine saw: data, spec, benchmark."""

from backtests.jobs.market import Market
from backtests.jobs.opening import Opening
from backtests.marketdata.alignment import Aligned
from backtests.marketdata.caveats import caveats_for, facts_for
from backtests.models import Run
from backtests.runspec import RunSpec
from backtests.selectors import resolve_benchmark
from strategies.pipeline import TargetWeights

Caveat = dict[str, str]
SHOWN = 3
CARRIED_SHARE = 0.02


def of_run(
    run: Run, spec: RunSpec, market: Market, composed: TargetWeights, benchmark: Aligned | None,
    opened: Opening | None,
) -> list[Caveat]:  # fmt: skip
    """Return the caveats of a run's data, decisions, costs and benchmark, gravest first."""
    first, last = int(market.panel.ts[market.start]), int(market.panel.ts[-1])
    return [
        *caveats_for(run.dataset.report, market.panel.symbols, first, last),
        *facts_for(market.panel.manifest),
        *_of_decisions(composed, opened),
        *_of_costs(spec, market),
        *_of_benchmark(spec, market, benchmark),
    ]


def _of_decisions(composed: TargetWeights, opened: Opening | None) -> list[Caveat]:
    if opened is None:
        text = "The strategy never decided anything: no instrument ever had enough history."
        return [{"code": "never_decided", "text": text}]
    caveats = []
    if opened.n_bars_idle:
        caveats.append({"code": "idle_start", "text": _of_idle_bars(opened)})
    if composed.left_out:
        caveats.append({"code": "left_out", "text": f"Never traded: {_names(composed.left_out)}."})
    return caveats


def _of_idle_bars(opened: Opening) -> str:
    said = (
        f"The account opens on {opened.opened_at[:10]} and the strategy first decides on "
        f"{opened.decided_at[:10]}: it held cash for the first {opened.n_bars_idle:,} bars, for "
        "want of history; every figure counts them."
    )
    if opened.sharpe_from_decision is None:
        return said
    return (
        f"{said} From that decision on the Sharpe ratio is {opened.sharpe_from_decision:.3f}: "
        "compare this one with that of a backtest without start, which opens there."
    )


def _names(symbols: tuple[str, ...]) -> str:
    shown, more = ", ".join(symbols[:SHOWN]), len(symbols) - SHOWN
    return f"{len(symbols)} instruments ({shown} and {more} more)" if more > 0 else shown


def _of_costs(spec: RunSpec, market: Market) -> list[Caveat]:
    stated = any(spec.costs.model_dump(exclude={"commission_maximum", "conversion_bps"}).values())
    measured = "half_spread" in market.panel.fields or market.panel.manifest.kind == "quotes"
    if stated or measured:
        return []
    return [
        {
            "code": "no_costs",
            "text": "No costs were charged: the spec states none. Nobody trades so.",
        }
    ]


def _of_benchmark(spec: RunSpec, market: Market, benchmark: Aligned | None) -> list[Caveat]:
    if spec.benchmark is None or benchmark is None:
        return []
    caveats = []
    n_bars = benchmark.values.size
    if benchmark.n_missing:
        end = " It ends before the run does." if benchmark.ended_early else ""
        caveats.append(
            {
                "code": "benchmark_incomplete",
                "text": f"The benchmark has no value on {benchmark.n_missing} of {n_bars} bars, so "
                f"nothing was measured against it.{end}",
            }
        )
    elif benchmark.n_carried > CARRIED_SHARE * n_bars:
        caveats.append(
            {
                "code": "benchmark_carried",
                "text": f"The benchmark's last value was carried on {benchmark.n_carried} of "
                f"{n_bars} bars.",
            }
        )
    theirs, ours = resolve_benchmark(spec.benchmark).dataset.manifest["content"], market.panel
    with_dividends = ours.manifest.prices == "adjusted" or "dividend" in ours.fields
    if with_dividends and theirs["prices"] != "adjusted" and "dividend" not in theirs["fields"]:
        caveats.append(
            {
                "code": "benchmark_prices",
                "text": "The benchmark leaves out dividends and the run's prices hold them: what "
                "is earned over it is overstated.",
            }
        )
    return caveats
