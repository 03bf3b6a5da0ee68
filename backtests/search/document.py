"""The ``search:`` section of a run's spec: one document for each method.

Defaults are part of the document that is stored, so a later change of a default changes no old
search.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from backtests.search import hints
from backtests.search.dimensions import Choices, Dimension, Part, Range
from backtests.search.errors import DocumentError
from backtests.search.expressions import LONGEST

MOST_TRIALS = 100_000_000
_TOLD = 4  # faults in one line

_PATH = re.compile(r"[^\s.]+(\.[^\s.]+)*")


def _require_path(text: str) -> str:
    if len(text) > 500 or not _PATH.fullmatch(text):
        raise ValueError("is no path; a path is made of keys and numbers with dots between")
    return text


# Checked by us: as a pattern it would hide the dimensions from readers of the JSON schema.
Path = Annotated[str, AfterValidator(_require_path)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=LONGEST)]
Count = Annotated[StrictInt, Field(ge=1, le=MOST_TRIALS)]
Population = Annotated[StrictInt, Field(ge=4, le=10_000)]
Real = StrictInt | StrictFloat
Share = Annotated[StrictFloat, Field(gt=0, le=1)]


class Objective(Part):
    """An expression over metrics, and which way is better."""

    maximize: Text | None = Field(default=None, description="The higher, the better.")
    minimize: Text | None = Field(default=None, description="The lower, the better.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.maximize is None) is (self.minimize is None):
            raise ValueError("an objective is either to maximize or to minimize")
        return self

    @property
    def text(self) -> str:
        """The expression."""
        return self.maximize or self.minimize or ""

    @property
    def is_maximized(self) -> bool:
        """Whether the higher is the better."""
        return self.maximize is not None


def _maximize(document: Any) -> Any:
    return {"maximize": document} if isinstance(document, str) else document


def _listed(document: Any) -> Any:
    return document if isinstance(document, list | tuple) else [document]


Goal = Annotated[
    Objective, BeforeValidator(_maximize, json_schema_input_type=str | Objective)
]  # fmt: skip
Goals = Annotated[
    list[Goal],
    Field(min_length=1, max_length=8),
    BeforeValidator(_listed, json_schema_input_type=str | Objective | list[str | Objective]),
]


class _Search(Part):
    """What all methods share."""

    over: dict[Path, Dimension] = Field(
        min_length=1,
        max_length=200,
        description="By path of the spec: a list of values, {low, high, step} or {low, high, log}; "
        "with when: {path: value} only where another dimension has it.",
    )
    objective: Goals = Field(
        default=[Objective(maximize="sharpe")],
        validate_default=True,
        description="A metric or an expression over metrics, maximized; or {minimize: …}; or a "
        "list of them.",
    )
    constraints: list[Text] = Field(
        default=[],
        max_length=50,
        description="Conditions on parameters, checked before a trial is run, and on metrics, "
        "which make a trial infeasible.",
    )


class _Seeded(_Search):
    seed: StrictInt = Field(default=0, ge=0, lt=2**63, description="Of all random numbers.")


class GridSearch(_Search):
    """Every combination."""

    kind: Literal["grid"]


class RandomDocument(_Seeded):
    """Uniform draws."""

    kind: Literal["random"]
    n_trials: Count


class LatinHypercubeDocument(_Seeded):
    """Draws that are spread evenly in every dimension."""

    kind: Literal["latin_hypercube"]
    n_trials: Annotated[StrictInt, Field(ge=1, le=1_000_000)]


class TpeDocument(_Seeded):
    """Tree-structured Parzen estimators."""

    kind: Literal["tpe"]
    n_trials: Annotated[StrictInt, Field(ge=1, le=100_000)]
    generation: Annotated[StrictInt, Field(ge=1, le=10_000)] = Field(
        default=16, description="Trials chosen together; fewer learn faster, more run in parallel."
    )
    startup: Annotated[StrictInt, Field(ge=1, le=10_000)] = Field(
        default=16, description="Trials drawn at random before it learns."
    )


class CmaEsDocument(_Seeded):
    """Covariance matrix adaptation."""

    kind: Literal["cma_es"]
    n_trials: Annotated[StrictInt, Field(ge=1, le=1_000_000)]
    generation: Population = Field(default=16, description="Trials of a generation.")
    spread: Share = Field(
        default=0.25, description="Standard deviation at the start, as a share of a dimension."
    )


class Nsga2Document(_Seeded):
    """NSGA-II, for several objectives."""

    kind: Literal["nsga2"]
    n_trials: Annotated[StrictInt, Field(ge=1, le=100_000)]
    generation: Population = Field(default=32, description="Trials of a generation.")


class GeneticDocument(_Seeded):
    """A genetic algorithm."""

    kind: Literal["genetic"]
    n_trials: Annotated[StrictInt, Field(ge=1, le=100_000)]
    generation: Population = Field(default=16, description="Trials of a generation, and parents.")
    tournament: Annotated[StrictInt, Field(ge=1, le=100)] = Field(
        default=3, description="Parents drawn, of which the best becomes one."
    )
    crossover: Annotated[Real, Field(ge=0, le=1)] = Field(
        default=0.9, description="Probability that a child has two parents."
    )
    mutation: Annotated[Real, Field(ge=0, le=1)] | None = Field(
        default=None, description="Probability that a gene changes; null: one of all, on average."
    )
    spread: Share = Field(
        default=0.1, description="Standard deviation of a change, as a share of a dimension."
    )


class HalvingDocument(_Seeded):
    """Successive halving."""

    kind: Literal["halving"]
    n_trials: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = Field(
        description="Trials on the first rung, before any is dropped."
    )
    start: Literal["random", "latin_hypercube"] = Field(
        default="latin_hypercube", description="How the trials of the first rung are drawn."
    )
    resource: Literal["bars", "folds"] = Field(
        default="bars", description="What a trial has a share of."
    )
    eta: Annotated[Real, Field(gt=1, le=100)] = Field(
        default=3, description="One of so many goes on, with so many times the budget."
    )
    min_budget: Annotated[Real, Field(gt=0, le=1)] = Field(
        default=0.1, description="Least share that a trial is given."
    )


SearchDocument = Annotated[
    GridSearch | RandomDocument | LatinHypercubeDocument | TpeDocument | CmaEsDocument
    | Nsga2Document | GeneticDocument | HalvingDocument,
    Field(discriminator="kind"),
]  # fmt: skip
KINDS: dict[str, type[_Search]] = {
    "grid": GridSearch, "random": RandomDocument, "latin_hypercube": LatinHypercubeDocument,
    "tpe": TpeDocument, "cma_es": CmaEsDocument, "nsga2": Nsga2Document,
    "genetic": GeneticDocument, "halving": HalvingDocument,
}  # fmt: skip
_ADAPTER: TypeAdapter[Any] = TypeAdapter(SearchDocument)


def parse(document: Any) -> Any:
    """Return a validated search document; one that already is stays as it is.

    Raises
    ------
    DocumentError
        The first few faults in one line, each with its path; an unknown key names the nearest
        known one.
    """
    if isinstance(document, _Search):
        return document
    if isinstance(document, Mapping) and document.get("kind") not in KINDS:
        given = document.get("kind")
        if given is None:
            line = f"kind is missing; it is one of {', '.join(KINDS)}."
            raise DocumentError(line, [("kind", line)])
        message = f"{given!r} is unknown{hints.nearest(str(given), KINDS)}"
        raise DocumentError(f"kind: {message}", [("kind", message)])
    try:
        return _ADAPTER.validate_python(document)
    except ValidationError as error:
        faults = _essential(error.errors(include_url=False))
    faults.sort(key=lambda fault: fault["type"] != "extra_forbidden")
    placed = [_place(fault) for fault in faults]
    told = [_sentence(*fault) for fault in placed[:_TOLD]]
    more = f" ({len(faults) - _TOLD} more)" if len(faults) > _TOLD else ""
    raise DocumentError(" ".join(told) + more, placed) from None


def _essential(faults: list[Any]) -> list[Any]:
    """Leave out that a key is missing where another is a misspelling of it: it is said once."""
    unknown = [fault["loc"] for fault in faults if fault["type"] == "extra_forbidden"]
    meant = {(*loc[:-1], hints.closest(str(loc[-1]), _keys_at(loc))) for loc in unknown}
    return [one for one in faults if one["type"] != "missing" or one["loc"] not in meant]


def _keys_at(location: tuple[Any, ...]) -> Iterable[str]:
    """Return the keys that are known where a fault is."""
    known: type[Part] | None = KINDS.get(str(location[0])) if location else None
    if location[1:2] == ("over",) and len(location) > 4:
        known = Choices if location[3] == "Choices" else Range
    elif location[1:2] == ("objective",) and len(location) > 3:
        known = Objective
    return known.model_fields if known else ()


def _place(fault: Any) -> tuple[str, str]:
    """Return where a fault is, and what; the tags of unions are no part of the path."""
    location = fault["loc"]
    steps = [
        str(step)
        for place, step in enumerate(location)
        if place > 0 and not (place == 3 and step in {"Choices", "Range"}) and step != "[key]"
    ]
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden" and (known := _keys_at(location)):
        message = f"unknown key{hints.nearest(steps[-1], known)}"
    return ".".join(steps)[:200], message


def _sentence(path: str, message: str) -> str:
    line = f"{path}: {message}".removeprefix(": ")
    return line if line.endswith((".", "?")) else f"{line}."
