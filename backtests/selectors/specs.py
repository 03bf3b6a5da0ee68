"""Specs as people hand them in, and as text that they read and run again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from backtests import search
from backtests.models import Run
from backtests.runspec import RunSpec, as_backtest
from backtests.runspec.study import MOST_COMPARED
from crowetrade_site.core import documents
from crowetrade_site.core.errors import InvalidInput
from strategies.selectors import REGISTERED, get_spec


def parse_spec(document: Mapping[str, Any]) -> RunSpec:
    """Return the spec of a run; faults of its strategies are told with those of everything else.

    Raises
    ------
    InvalidInput
        A key is unknown or a value out of range, in the spec or in a strategy that it describes:
        each by its path, ``strategy.signals.0.lookback_days``, or by version and file (422).
    NotFound, Conflict, Corrupted
        As `strategies.selectors.get_registered`.
    """
    refusals: list[InvalidInput] = []
    with _collecting(refusals):
        spec = documents.parse(RunSpec, document)
    for place, strategy in _described(document):
        with _collecting(refusals):
            get_spec(strategy, within=place)
    if refusals:
        raise _together(refusals)
    return spec


@contextmanager
def _collecting(refusals: list[InvalidInput]) -> Iterator[None]:
    """Put a document's refusal with others; one that is unreadable as a whole is refused."""
    try:
        yield
    except InvalidInput as refusal:
        if "errors" not in refusal.extensions:
            raise
        refusals.append(refusal)


def _together(refusals: list[InvalidInput]) -> InvalidInput:
    faults = [fault for refusal in refusals for fault in refusal.extensions["errors"]]
    n_more = sum(refusal.extensions.get("n_more_errors", 0) for refusal in refusals)
    return InvalidInput.of(documents.merged(faults), n_more=n_more)


def _described(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    """Give the strategies that a document or a version's file describes, by their places.

    Those of a comparison only where it may have that many: each takes its time.
    """
    compared = document.get("comparison")
    strategies = compared.get("strategies") if isinstance(compared, Mapping) else None
    places = {"strategy": document.get("strategy")}
    if isinstance(strategies, Mapping) and len(strategies) <= MOST_COMPARED:
        places |= {
            documents.place("comparison", "strategies", label): one
            for label, one in strategies.items()
        }
    for place, one in places.items():
        if isinstance(one, Mapping) or (isinstance(one, str) and one.startswith(REGISTERED)):
            yield place, one


def spec_text(run: Run) -> str:
    """Return a run's spec as YAML, in the order its schema has it.

    One that present rules would refuse is shown as it was stored.
    """
    if "replay" in run.spec:
        kept = ("kind", "replay", "seed")  # market and strategy are its control's
        return _dump({name: run.spec[name] for name in kept})
    return _text(run.spec)


def trial_text(run: Run, parameters: Mapping[str, Any]) -> str:
    """Return the spec that runs one trial of a study alone, as YAML.

    It says when to begin: a backtest without a start begins at its strategy's first decision, but
    all trials of a study at one bar.
    """
    document = search.apply(as_backtest(run.spec), parameters)
    if document.get("start") is None and run.dataset.first_at is not None:
        document["start"] = run.dataset.first_at.date().isoformat()
    return _text(document)


def _text(document: Mapping[str, Any]) -> str:
    try:
        spec = _shown(RunSpec.model_validate(document))
    except ValidationError:
        spec = dict(document)
    spec["strategy"] = get_spec(spec["strategy"]).model_dump(mode="json")
    return _dump(spec)


def _dump(spec: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True)


def _shown(part: BaseModel) -> dict[str, Any]:
    """Return a part's values without the nulls that only say that a key was left out."""
    plain = part.model_dump(mode="json")
    shown = {}
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if value is not None or field.default is not None:
            shown[name] = _shown(value) if isinstance(value, BaseModel) else plain[name]
    return shown
