"""Whether a search goes together with its spec."""

from collections.abc import Mapping
from typing import Any

from backtests import search
from backtests.lifecycle import RunKind
from backtests.runspec import RunSpec, as_backtest, search_of, with_search
from backtests.search import SearchError
from crowetrade_site.core.errors import InvalidInput, translating
from strategies.pipeline import StrategySpec

# Trials looked at before a search is queued: one that is valid is enough.
MOST_TRIED = 200


def check_search(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study's spec with the defaults of its search, after trying that on the spec.

    Raises
    ------
    InvalidInput
        The search is no valid document, names a path the spec does not have, an unknown metric,
        or only parameter sets that the strategy refuses (422).
    """
    document = dict(search_of(spec))
    if "seed" in search.KINDS.get(str(document.get("kind")), search.KINDS["grid"]).model_fields:
        document.setdefault("seed", spec["seed"])
    with translating((SearchError,), InvalidInput):
        planned = plan_search(document)
        if spec["kind"] != RunKind.SWEEP and not planned.is_indexed:
            raise InvalidInput(
                f"search: {document['kind']} chooses trials by the results of others, which a "
                f"{spec['kind']} cannot do yet; use grid, random or latin_hypercube."
            )
        n_first = min(MOST_TRIED, planned.n_trials)
        trials = planned.ask(n_first) if planned.is_indexed else planned.ask()
        refusals = [refusal_of(spec, trial.parameters) for trial in trials[:MOST_TRIED]]
    if all(refusals):
        raise InvalidInput(f"search: the strategy refuses every parameter set tried; {refusals[0]}")
    parsed = search.parse(document).model_dump(mode="json", exclude_none=True)
    return with_search(spec, parsed)


def plan_search(document: Mapping[str, Any], told: Any = ()) -> search.Search:
    """Return the search that a document asks for, over the metrics of the engine."""
    from backtests.engine.metrics import DEFINITIONS

    return search.plan(document, metrics=[*DEFINITIONS, *EXTRA_FIGURES], told=told)


# Figures of a trial beside the engine's metrics.
EXTRA_FIGURES = ("final_equity", "n_fills", "n_closed_trades")


def refusal_of(spec: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """Return why the spec cannot take a parameter set; empty where it can.

    Raises
    ------
    PathError
        A path is not in the spec.
    """
    from pydantic import ValidationError

    document = search.apply(as_backtest(spec), parameters)
    try:
        StrategySpec.model_validate(document["strategy"])
        RunSpec.model_validate(document)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        return str(fault["msg"]).removeprefix("Value error, ")
    return ""
