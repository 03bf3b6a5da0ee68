"""Whether a search goes together with its spec."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from django.db.models import Sum

from backtests import search
from backtests.lifecycle import RunKind
from backtests.models import Chunk, Dataset
from backtests.runspec import RunSpec, as_backtest, search_of, with_search
from backtests.search import SearchError
from crowetrade_site.core import canonical
from crowetrade_site.core.errors import InvalidInput, translating
from strategies.pipeline import StrategySpec

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MOST_SEARCHES = 1_000  # of a method that learns, one for each fold
MOST_IN_FOLDS = 50_000_000  # trials × folds: two numbers of each are in memory at the end, 800 MB
SEARCHED = ("strategy", "fills", "costs", "account", "capital")  # what each trial has of its own
# Trials looked at before a search is queued: one that is valid is enough.
MOST_TRIED = 200
TRADING_SHARE = 5 / 7  # of all days
# Measured: what a trial costs beside its bars, and for every bar of an instrument.
_SECONDS_PER_TRIAL, _SECONDS_PER_CELL = 0.6e-3, 6e-8


def check_search(spec: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """Return a study's spec with the defaults of its search, after trying that on the spec.

    Raises
    ------
    InvalidInput
        The search is no valid document, names a path that the spec does not have or that a study
        cannot search, an unknown metric, or only parameter sets that the strategy refuses; or there
        are too many folds (422).
    """
    if spec["kind"] == RunKind.COMPARISON:
        _require_different(spec["comparison"]["strategies"])
    document = dict(search_of(spec))
    if "seed" in search.KINDS.get(str(document.get("kind")), search.KINDS["grid"]).model_fields:
        document.setdefault("seed", spec["seed"])
    with translating((SearchError,), InvalidInput, path="search"):
        if document.get("resource", "bars") != "bars":
            raise InvalidInput.at(
                "search",
                f"resource is {document['resource']!r}, but a trial has no folds to be "
                "given a share of; leave it out, or say bars.",
            )
        planned = plan_search(document)
        _require_searchable(spec, planned.space.dimensions)
        n_folds, is_apart = _count_folds(spec, dataset), not planned.is_indexed
        n_trials = planned.n_trials * (max(1, n_folds) if is_apart else 1)
        require_folds(document, n_folds, n_trials, is_apart=is_apart)
        n_first = min(MOST_TRIED, planned.n_trials)
        trials = planned.ask(n_first) if planned.is_indexed else planned.ask()
        refusals = [refusal_of(spec, trial.parameters) for trial in trials[:MOST_TRIED]]
    if all(refusals):
        _require_whole(spec, trials[0].parameters, planned.space)
        raise InvalidInput.at(
            "search", f"the strategy refuses every parameter set tried; {refusals[0]}"
        )
    parsed = search.parse(document).model_dump(mode="json", exclude_none=True)
    return with_search(spec, parsed)


def _require_searchable(spec: Mapping[str, Any], paths: Iterable[str]) -> None:
    """Refuse paths that all trials of a study share, whatever a parameter set says."""
    for path in paths:
        first = path.split(".", 1)[0]
        if first not in spec:  # within the strategy, or nowhere, which is found out later
            continue
        if first not in SEARCHED:
            raise InvalidInput.at(
                "search",
                f"{path} is one for all trials of a study, which share their data, their "
                "time and their benchmark; queue a study for each value, and search paths of "
                f"{', '.join(SEARCHED[:-1])}, or {SEARCHED[-1]}.",
            )
        if spec["kind"] == RunKind.WALK_FORWARD and first != "strategy":
            raise InvalidInput.at(
                "search",
                f"a walk-forward does not search {path}, because one account under one set "
                "of fills, costs and rules follows the choices of all its folds; state it in the "
                "spec and search paths of strategy, or take a cross_validation or a sweep.",
            )


def require_folds(
    document: Mapping[str, Any], n_folds: int, n_trials: int, *, is_apart: bool
) -> None:
    """Refuse more folds than a study can have.

    Parameters
    ----------
    document : mapping
        The search.
    n_folds, n_trials : int
        The trials of all folds together.
    is_apart : bool
        Whether each fold searches by itself.

    Raises
    ------
    InvalidInput
        There are too many folds, or too many trials for so many (422).
    """
    if is_apart and n_folds > MOST_SEARCHES:
        raise InvalidInput.at(
            "search",
            f"{document['kind']} searches inside each fold, and there are {n_folds:,} of "
            f"them, more than {MOST_SEARCHES:,}; take fewer groups, longer tests, or grid, random "
            "or latin_hypercube, whose trials serve all folds.",
        )
    if n_folds * n_trials > MOST_IN_FOLDS:
        raise InvalidInput.at(
            "search",
            f"{n_trials:,} trials in {n_folds:,} folds are {n_folds * n_trials:,} pairs, "
            f"more than {MOST_IN_FOLDS:,}; take fewer trials, fewer groups or longer tests.",
        )


def _require_different(strategies: Mapping[str, Any]) -> None:
    labels: dict[str, str] = {}
    for label, strategy in strategies.items():
        same = labels.setdefault(canonical.digest(strategy), label)
        if same != label:
            raise InvalidInput(
                f"comparison: {same!r} and {label!r} are the same strategy, which cannot be told "
                "apart; take one away or change it."
            )


def plan_search(document: Mapping[str, Any], *, n_folds: int = 0) -> search.Search:
    """Return the search that a document asks for, over the metrics of the engine.

    With folds a method that learns has a search of its own in each of them.
    """
    from backtests.engine.metrics import DEFINITIONS

    names = [*DEFINITIONS, *EXTRA_FIGURES]
    if n_folds:
        return search.plan_in_folds(document, n_folds, metrics=names)
    return search.plan(document, metrics=names)


@dataclass(frozen=True)
class Estimate:
    """What a study will take, as far as it is known before.

    Attributes
    ----------
    n_trials : int
        At most.
    cost : float
        The same in trials on all the data.
    seconds : float
        Of one core; divide by the worker processes that are free.
    is_measured : bool
        Whether trials of the same strategy on the same data were timed; else a rule of thumb.
    """

    n_trials: int
    cost: float
    seconds: float
    is_measured: bool


def estimate_study(spec: Mapping[str, Any], dataset: Dataset) -> Estimate:
    """Return what a checked study is estimated to take."""
    planned = plan_search(search_of(spec))
    n_searches = 1 if planned.is_indexed else max(1, _count_folds(spec, dataset))
    n_trials, cost = n_searches * planned.n_trials, n_searches * planned.cost
    timed = Chunk.objects.done().filter(
        run__dataset=dataset, run__kind=spec["kind"], is_reused=False, seconds__gt=0
    )
    sums = timed.aggregate(seconds=Sum("seconds"), n=Sum("n_trials"))
    chosen = len(spec["instruments"] or ()) or dataset.n_instruments or 1
    n_cells = dataset.n_rows * chosen / max(1, dataset.n_instruments)
    each = sums["seconds"] / sums["n"] if sums["n"] else seconds_of_trial(n_cells)
    return Estimate(n_trials, cost, cost * each, bool(sums["n"]))


def _count_folds(spec: Mapping[str, Any], dataset: Dataset) -> int:
    """Return how many folds a study will have, 0 of a sweep; of a walk-forward about so many."""
    if spec["kind"] != RunKind.WALK_FORWARD:
        return _count_of_combinations(spec)
    section = spec["walk_forward"]
    n_bars = dataset.n_rows / max(1, dataset.n_instruments)
    first, last = (spec.get("start") or dataset.first_at), (spec.get("end") or dataset.last_at)
    if first and last:
        span = date.fromisoformat(str(last)[:10]) - date.fromisoformat(str(first)[:10])
        n_bars = min(n_bars, (span.days + 1) * TRADING_SHARE)
    before = section["train_days"] + section["purge_days"] + section["embargo_days"]
    return max(1, math.ceil((n_bars - before) / section["test_days"]))


def _count_of_combinations(spec: Mapping[str, Any]) -> int:
    """Return how many folds a cross-validation has; 0 of another study."""
    section = spec.get("cross_validation")
    return math.comb(section["n_groups"], section["n_test_groups"]) if section else 0


def seconds_of_trial(n_cells: float) -> float:
    """Return what a trial takes on so many bars of instruments [s on one core], roughly.

    A rule of thumb that is the same on every machine: the size of chunks follows from it, and so do
    their names.
    """
    return _SECONDS_PER_TRIAL + _SECONDS_PER_CELL * n_cells


# Figures of a trial beside the engine's metrics.
EXTRA_FIGURES = ("final_equity", "n_fills", "n_closed_trades")


def _require_whole(
    spec: Mapping[str, Any], parameters: Mapping[str, Any], space: search.Space
) -> None:
    """Name the searched path that gives fractions where the strategy takes whole numbers."""
    fault = _fault_of(spec, parameters)
    if fault is None or fault["type"] != "int_from_float":
        return
    for path, value in parameters.items():
        if path.rsplit(".", 1)[-1] != str(fault["loc"][-1]) or value != fault["input"]:
            continue
        dimension = space.dimensions[path]
        lacks_step = isinstance(dimension, search.Range) and dimension.step is None
        cure = "add step: 1" if lacks_step else "write them without a decimal point"
        raise InvalidInput.at("search", f"{path} needs whole numbers; {cure}.")


def refusal_of(spec: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """Return why the spec cannot take a parameter set; empty where it can.

    Raises
    ------
    PathError
        A path is not in the spec.
    """
    fault = _fault_of(spec, parameters)
    return "" if fault is None else str(fault["msg"]).removeprefix("Value error, ")


def _fault_of(spec: Mapping[str, Any], parameters: Mapping[str, Any]) -> "ErrorDetails | None":
    """Return the first fault of a spec with a parameter set; None where it has none."""
    from pydantic import ValidationError

    document = search.apply(as_backtest(spec), parameters)
    try:
        StrategySpec.model_validate(document["strategy"])
        RunSpec.model_validate(document)
    except ValidationError as error:
        return error.errors(include_url=False)[0]
    return None
