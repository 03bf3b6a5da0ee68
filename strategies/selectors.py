"""Questions about strategies: what is stored, and what a document says."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from crowetrade_site.core import documents, hints
from crowetrade_site.core.errors import NotFound
from strategies.models import Strategy
from strategies.pipeline.examples import builtin_examples
from strategies.pipeline.spec import StrategySpec
from strategies.querysets import StrategyQuerySet


def list_strategies() -> StrategyQuerySet:
    """Return every stored strategy."""
    return Strategy.objects.select_related("created_by")


def get_strategy(strategy_id: UUID) -> Strategy:
    """Return a stored strategy.

    Raises
    ------
    NotFound
        There is none of this id (404).
    """
    strategy = list_strategies().filter(public_id=strategy_id).first()
    if strategy is None:
        raise NotFound(f"There is no strategy {strategy_id}.")
    return strategy


def strategy_schema(ref_template: str) -> dict[str, Any]:
    """Return the JSON schema of a strategy's spec, its parts named after a template."""
    return StrategySpec.model_json_schema(ref_template=ref_template)


def get_spec(source: Mapping[str, Any] | str, *, within: str = "") -> StrategySpec:
    """Return the spec a document describes or a name stands for, defaults filled in.

    A name is that of a frozen strategy, else of a built-in example. `within` is the place
    of the document in a larger one, for the paths of its faults.

    Raises
    ------
    InvalidInput
        A key is unknown (the nearest known one is named) or a value is out of range (422).
    NotFound
        Nothing frozen or built in has the name; the nearest is given (404).
    """
    if isinstance(source, Mapping):
        return documents.parse(StrategySpec, source, within=within)
    stored = Strategy.objects.frozen().filter(name=source).first()
    if stored:
        return documents.parse(StrategySpec, stored.document)
    examples = builtin_examples()
    if source in examples:
        return examples[source]
    known = [*Strategy.objects.frozen().values_list("name", flat=True), *examples]
    raise NotFound(f"There is no frozen strategy {source!r}{hints.nearest(source, known)}")
