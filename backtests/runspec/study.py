"""How a study splits its time."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from backtests.runspec.trading import Section

Days = Annotated[int, Field(ge=1, le=100_000)]
Gap = Annotated[int, Field(ge=0, le=100_000)]
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


# What a kind of run has that no other has.
SECTIONS = {
    "sweep": "search",
    "walk_forward": "walk_forward",
    "cross_validation": "cross_validation",
}


def search_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the search of a study's document, wherever its kind keeps it."""
    section = document[SECTIONS[document["kind"]]]
    found: dict[str, Any] = section if document["kind"] == "sweep" else section["search"]
    return found


def with_search(document: Mapping[str, Any], search: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study's document with another search."""
    name = SECTIONS[document["kind"]]
    if document["kind"] == "sweep":
        return {**document, name: dict(search)}
    return {**document, name: {**document[name], "search": dict(search)}}


def as_backtest(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each trial of a study is: the same run without the study."""
    kept = {name: part for name, part in document.items() if name not in SECTIONS.values()}
    return {**kept, "kind": "backtest"}
