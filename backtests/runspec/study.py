"""How a study splits its time."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from backtests.runspec.trading import Section

Days = Annotated[int, Field(ge=1, le=100_000)]
Gap = Annotated[int, Field(ge=0, le=100_000)]
MOST_COMPARED = 50
SearchSection = Annotated[
    dict[str, Any],
    Field(
        description="What is searched, and how: kind, over, objective, constraints, and what the "
        "kind needs. A seed left out is the run's."
    ),
]


class WalkForwardSpec(Section):
    """Windows that walk through time: parameters are chosen on one, and tried on the next."""

    train_days: Days = Field(description="Days with a bar on which parameters are chosen.")
    test_days: Days = Field(description="Days with a bar on which the chosen ones are tried.")
    purge_days: Gap = Field(default=0, description="Left out before each test.")
    embargo_days: Gap = Field(default=0, description="Left out there too: widens the gap.")
    anchored: bool = Field(
        default=False, description="Whether every training begins with the first bar."
    )
    search: SearchSection


class CrossValidationSpec(Section):
    """Combinatorial purged cross-validation: every choice of groups is once the test."""

    n_groups: Annotated[int, Field(ge=2, le=20)] = 6
    n_test_groups: Annotated[int, Field(ge=1, le=10)] = 2
    purge_days: Gap = Field(default=0, description="Left out on both sides of each test.")
    embargo_days: Gap = Field(default=0, description="Further left out after each test.")
    search: SearchSection


class ComparisonSpec(Section):
    """Strategies side by side on the same bars."""

    strategies: dict[
        Annotated[str, Field(min_length=1, max_length=80)],
        dict[str, Any] | Annotated[str, Field(min_length=1, max_length=200)],
    ] = Field(
        min_length=2,
        max_length=MOST_COMPARED,
        description="By label: a strategy spec, or the name of a frozen or built-in one.",
    )
    benchmark: str | None = Field(
        default=None, description="The label that the others are tested against."
    )

    @model_validator(mode="after")
    def _benchmark_is_there(self) -> Self:
        if self.benchmark is not None and self.benchmark not in self.strategies:
            raise ValueError(f"benchmark {self.benchmark!r} is none of the strategies")
        return self


# What a kind of run has that no other has.
SECTIONS = {
    "sweep": "search",
    "walk_forward": "walk_forward",
    "cross_validation": "cross_validation",
    "comparison": "comparison",
}


def search_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the search of a study's document, wherever its kind keeps it."""
    section = document[SECTIONS[document["kind"]]]
    if document["kind"] == "comparison":
        return {"kind": "grid", "over": {"strategy": list(section["strategies"].values())}}
    found: dict[str, Any] = section if document["kind"] == "sweep" else section["search"]
    return found


def with_search(document: Mapping[str, Any], search: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study's document with another search."""
    name = SECTIONS[document["kind"]]
    if document["kind"] == "comparison":
        return dict(document)  # its search follows from its strategies
    if document["kind"] == "sweep":
        return {**document, name: dict(search)}
    return {**document, name: {**document[name], "search": dict(search)}}


def as_backtest(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each trial of a study is: the same run without the study."""
    kept = {name: part for name, part in document.items() if name not in SECTIONS.values()}
    return {**kept, "kind": "backtest"}
