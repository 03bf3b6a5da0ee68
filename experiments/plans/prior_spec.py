"""Where a plan's prior of the differences comes from, and what it was once the plan is frozen."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from experiments.plans.sections import Name, Positive, Section

Finite = Annotated[float, Field(allow_inf_nan=False)]
MOST_NAMED = 200


class PastEffect(Section):
    """One challenger of a concluded experiment less its control, by its last analysis."""

    experiment: str = Field(description="Its id.")
    name: str
    arm: str
    analysis: int
    digest: str = Field(description="Of that analysis.")
    difference: Finite
    standard_error: Positive


class PinnedPrior(Section):
    """The normal law of a metric's differences, with all that it was made of."""

    metric: Name
    mean: Finite
    deviation: Positive
    n_experiments: int
    effects: list[PastEffect]
    digest: str = Field(description="SHA-256 of the effects, as canonical JSON.")


class PriorSpec(Section):
    """A prior of the differences from experiments that are over."""

    source: Literal["concluded"] = Field(
        alias="from",
        description="Concluded experiments with the same metric: name, kind, unit, direction and "
        "design, of a shadow experiment the same period. What they found is read at the start.",
    )
    tags: list[Name] = Field(default=[], max_length=20, description="That they have, all of them.")
    experiments: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_NAMED,
        description="Their names or ids; all by default. Whoever names the winners alone gets a "
        "prior that is too good.",
    )
    pinned: list[PinnedPrior] | None = Field(
        default=None, description="Written at the start, for each primary metric; never by hand."
    )

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if self.tags and self.experiments is not None:
            raise ValueError("prior has tags or experiments, not both")
        return self

    def of(self, metric: str) -> PinnedPrior | None:
        """Return the prior of a metric; None before the start, and of others than primary ones."""
        return next((one for one in self.pinned or () if one.metric == metric), None)
