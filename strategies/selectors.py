"""Questions about strategies: what is stored, and what a document says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from crowetrade_site.core import documents, hints
from crowetrade_site.core.errors import InvalidInput, NotFound
from registry import services as registry
from registry.selectors import resolve
from strategies.models import Strategy
from strategies.pipeline.examples import builtin_examples
from strategies.pipeline.spec import StrategySpec
from strategies.querysets import StrategyQuerySet

REGISTERED = (
    "models:/"  # how the name of a strategy begins that is the file of a registered version
)


@dataclass(frozen=True)
class RegisteredStrategy:
    """The strategy that a registered version's file holds, and which version it is.

    Attributes
    ----------
    name : str
        With the number, such as ``models:/momentum/3``: an alias may move, this does not.
    digest : str
        Of the version: all its files.
    """

    version_id: UUID
    name: str
    digest: str
    spec: StrategySpec


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

    A name is that of a frozen strategy, else of a built-in example; ``models:/momentum/3`` stands
    for the file of a registered version. `within` is the place of the document in a larger one,
    for the paths of its faults.

    Raises
    ------
    InvalidInput
        A key is unknown (the nearest known one is named) or a value is out of range (422).
    NotFound
        Nothing frozen, built in or registered has the name; the nearest is given (404).
    Conflict, Corrupted
        The registered version may not be used, or its bytes are other ones (409).
    """
    if isinstance(source, Mapping):
        return documents.parse(StrategySpec, source, within=within)
    if source.startswith(REGISTERED):
        return get_registered(source, within=within).spec
    stored = Strategy.objects.frozen().filter(name=source).first()
    if stored:
        return documents.parse(StrategySpec, stored.document)
    examples = builtin_examples()
    if source in examples:
        return examples[source]
    known = [*Strategy.objects.frozen().values_list("name", flat=True), *examples]
    raise NotFound(f"There is no frozen strategy {source!r}{hints.nearest(source, known)}")


def get_registered(uri: str, *, within: str = "") -> RegisteredStrategy:
    """Return the strategy that a registered version's file describes, its bytes verified.

    Raises
    ------
    InvalidInput
        It is no address of a version, or the version's file is no strategy spec: version and file
        are named with each fault (422).
    NotFound
        There is no such version (404).
    Conflict, Corrupted
        The version is not admitted, archived or compromised (409).
    """
    version = resolve(uri)
    name = f"{REGISTERED}{version.registered_model.name}/{version.number}"
    if version.format not in ("", "parameters"):  # before anything is built of such a file
        raise InvalidInput(
            f"{name} is a file of {version.format}; a strategy is a spec in JSON or YAML."
        )
    found = registry.load(name)
    try:
        spec = documents.parse(StrategySpec, dict(found.model.parameters))
    except InvalidInput as refusal:  # whoever wrote the run's spec did not write this file
        file = f"{name}, {version.model_path}" if version.model_path else name
        raise InvalidInput.of(
            [{"path": within, "message": f"{file}: {fault}"} for fault in _faults(refusal)]
        ) from None
    return RegisteredStrategy(found.version_id, name, found.digest, spec)


def remarks_on(document: Mapping[str, Any]) -> list[str]:
    """Return what keeps a document that claims to be a strategy from being one, a line per fault.

    It claims so by a list of `signals` or a `portfolio` with a `kind`; any other document of
    parameters is somebody else's business, and nothing is said of it.
    """
    portfolio = document.get("portfolio")
    named = isinstance(portfolio, Mapping) and "kind" in portfolio
    if not named and not isinstance(document.get("signals"), list):
        return []
    try:
        documents.parse(StrategySpec, document)
    except InvalidInput as refusal:
        return [f"as a strategy it is faulty: {fault}" for fault in _faults(refusal)]
    return []


def _faults(refusal: InvalidInput) -> list[str]:
    errors = refusal.extensions.get("errors")
    return [f"{one['path']}: {one['message']}" for one in errors] if errors else [refusal.detail]
