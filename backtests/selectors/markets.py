"""Whether a spec goes together with its data."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from backtests.models import Dataset
from backtests.runspec import RunSpec
from backtests.selectors.datasets import Benchmark, resolve_benchmark, symbols_of
from crowetrade_site.core import hints
from crowetrade_site.core.errors import InvalidInput

EPOCH = date(1970, 1, 1)
DAY_NS = 86_400_000_000_000
TRADED_KINDS = ("bars", "quotes")


def check_market(spec: RunSpec, strategy: Mapping[str, Any], dataset: Dataset) -> None:
    """Refuse a spec that asks for what its dataset does not hold.

    Raises
    ------
    InvalidInput
        The dataset holds neither bars nor quotes, lacks an instrument or a column, is priced in
        another currency, or a date lies outside it (422).
    """
    if dataset.kind not in TRADED_KINDS:
        raise InvalidInput(
            f"Dataset {dataset} holds {dataset.kind}; a backtest needs bars or quotes."
        )
    if dataset.currency and dataset.currency != spec.currency:
        raise InvalidInput(
            f"Dataset {dataset} is priced in {dataset.currency}; write currency: "
            f"{dataset.currency}, amounts are not converted."
        )
    known = symbols_of(dataset)
    for symbol in [*(spec.instruments or []), *_weighted(strategy)]:
        if symbol not in known:
            raise InvalidInput(
                f"Dataset {dataset} has no instrument {symbol!r}{hints.nearest(symbol, known)}"
            )
    _check_weights(spec, strategy)
    _check_columns(spec, dataset)
    _check_dates(spec, dataset)


def _weighted(strategy: Mapping[str, Any]) -> list[str]:
    return list(strategy["portfolio"].get("weights", {}))


def _check_weights(spec: RunSpec, strategy: Mapping[str, Any]) -> None:
    """Refuse weights of instruments that the spec leaves out."""
    for symbol in _weighted(strategy):
        if spec.instruments is not None and symbol not in spec.instruments:
            raise InvalidInput(
                f"The strategy gives {symbol!r} a weight, but instruments leaves it out; add it "
                "there, or leave instruments out."
            )


def _check_columns(spec: RunSpec, dataset: Dataset) -> None:
    """Refuse fills and costs that need a column the data do not have."""
    fields = dataset.manifest.get("content", {}).get("fields")
    if fields is None:
        return
    needs = {
        "fills.max_participation": (spec.fills.max_participation is not None, ("volume",)),
        "costs.impact": (spec.costs.impact is not None, ("volume",)),
        "costs.half_spread_bps": (
            spec.costs.half_spread_bps == "corwin_schultz", ("high", "low"),
        ),
    }  # fmt: skip
    for path, (is_asked, columns) in needs.items():
        missing = [name for name in columns if name not in fields]
        if is_asked and missing:
            raise InvalidInput(
                f"{path} needs {' and '.join(columns)}, and dataset {dataset} has no "
                f"{' and no '.join(missing)}; leave it out, or import data that have it.",
                errors=[{"path": path, "message": f"the data have no {missing[0]}"}],
            )


def check_benchmark(spec: RunSpec) -> Benchmark:
    """Return the series a spec measures against, in the run's own currency.

    Raises
    ------
    NotFound, InvalidInput
        As `resolve_benchmark`, or it is priced in another currency (422).
    """
    benchmark = resolve_benchmark(str(spec.benchmark))
    theirs = benchmark.dataset.currency
    if theirs and theirs != spec.currency:
        raise InvalidInput(
            f"The benchmark {spec.benchmark} is priced in {theirs}, the run in {spec.currency}; "
            "amounts are not converted."
        )
    return benchmark


def _check_dates(spec: RunSpec, dataset: Dataset) -> None:
    if dataset.first_at is None or dataset.last_at is None:
        return
    first, last = dataset.first_at.date(), dataset.last_at.date()
    for name, day in (("start", spec.start), ("end", spec.end)):
        if day is not None and not first <= day <= last:
            raise InvalidInput(
                f"{name} {day} is outside the data of {dataset}, which runs from {first} to "
                f"{last}; leave {name} out to use all of it.",
                errors=[{"path": name, "message": f"not within {first} … {last}"}],
            )


def window(spec: RunSpec) -> tuple[int | None, int | None]:
    """Return a spec's first and last moment [ns UTC]: whole days, both included."""
    return (
        None if spec.start is None else _midnight(spec.start),
        None if spec.end is None else _midnight(spec.end) + DAY_NS - 1,
    )


def _midnight(day: date) -> int:
    return (day - EPOCH).days * DAY_NS
