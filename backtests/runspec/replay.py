"""What a replay asks: finished runs as the arms of an experiment, and the policies to try on them.

Policies and the analysis are documents of the experiments app, whose pure code checks them where
the run is queued; here they are any object.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from backtests.runspec.features import FeatureSpec, ReturnsFeatureSpec
from backtests.runspec.trading import Section

MOST_ARMS = 20
# An arm of an experiment is called by such a name.
Label = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
RunReference = Annotated[
    str, Field(pattern=r"^[0-9a-fA-F-]{4,36}(@sha256:[0-9a-f]{64})?$", max_length=120)
]
PolicyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
USUAL: tuple[dict[str, Any], ...] = (
    {"kind": "thompson_normal"}, {"kind": "epsilon_greedy", "epsilon": 0.1}, {"kind": "leader"},
    {"kind": "uniform"},
)  # fmt: skip


class ReplaySpec(Section):
    """Returns of finished runs, and what an experiment and bandits would have made of them."""

    runs: dict[Label, RunReference] = Field(
        min_length=2,
        max_length=MOST_ARMS,
        description="By label: a finished run's id, or its beginning. Stored with the digest of "
        "its result.",
    )
    control: str = Field(
        default="",
        max_length=64,
        description="The arm that the others are compared with; by default the first.",
    )
    policies: list[PolicyName | dict[str, Any]] = Field(
        default=list(USUAL),
        min_length=1,
        max_length=12,
        description="A policy's name, or an object with its name as kind and its settings.",
    )
    repetitions: int = Field(
        default=200, ge=2, le=100_000, description="Resamples of the periods, in blocks."
    )
    mean_block: Annotated[float, Field(ge=1, le=1e6, allow_inf_nan=False)] | None = Field(
        default=None, description="Mean length of a block [bars]; by default what the data ask for."
    )
    aa: bool = Field(
        default=False,
        description="A/A: every arm's mean is taken off, so that none is better and any winner is "
        "a false alarm.",
    )
    features: dict[Label, FeatureSpec] = Field(
        default={},
        max_length=8,
        description="By name: what lin_ucb and linear_thompson know when a period begins. With "
        "any, figures are told by regime too.",
    )
    regimes: str = Field(
        default="",
        max_length=64,
        description="The feature whose classes are the regimes of the report: its values where "
        "there are up to four, else its thirds; by default the first that tells turbulence, else "
        "the first.",
    )
    analysis: dict[str, Any] = Field(
        default={},
        description="The analysis of an experiment's plan; horizon_periods is by default the "
        "number of common periods.",
    )

    @model_validator(mode="before")
    @classmethod
    def _first_is_control(cls, document: Any) -> Any:
        if not isinstance(document, Mapping) or document.get("control") is not None:
            return document
        runs = document.get("runs")
        first = next(iter(runs), None) if isinstance(runs, Mapping) else None
        rest = {name: part for name, part in document.items() if name != "control"}
        return rest if first is None else {**rest, "control": first}

    @model_validator(mode="before")
    @classmethod
    def _usual_regimes(cls, document: Any) -> Any:
        if not isinstance(document, Mapping) or document.get("regimes"):
            return document
        features = document.get("features")
        if not isinstance(features, Mapping) or not features:
            return document
        telling = (
            name
            for name, one in features.items()
            if isinstance(one, Mapping) and one.get("kind") == "turbulence"
        )
        return {**document, "regimes": next(telling, next(iter(features)))}

    @field_validator("policies")
    @classmethod
    def _named_once(cls, policies: list[Any]) -> list[Any]:
        written = _written(policies)
        for at, one in enumerate(written):
            if not one.get("kind") or str(one["kind"]) != one["kind"]:
                raise ValueError(f"policy {at + 1} has no kind, which is its name")
            if one in written[:at]:
                raise ValueError(f"policy {at + 1} is the same as an earlier one")
        return written

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.control not in self.runs:
            raise ValueError(f"control {self.control!r} is none of the runs")
        if self.regimes and self.regimes not in self.features:
            raise ValueError(f"regimes {self.regimes!r} is none of the features")
        for name, feature in self.features.items():
            of = feature.of if isinstance(feature, ReturnsFeatureSpec) else ""
            if of and of not in self.runs:
                raise ValueError(f"feature {name!r} is of {of!r}, which is none of the runs")
        return self

    @property
    def asked_policies(self) -> list[dict[str, Any]]:
        """Every policy as an object with its kind."""
        return _written(self.policies)

    @property
    def feature_names(self) -> list[str]:
        """Every feature by name: a database keeps no other order."""
        return sorted(self.features)

    @property
    def labels(self) -> list[str]:
        """Every arm, the control first and the others by name: a database keeps no other order."""
        return [self.control, *sorted(label for label in self.runs if label != self.control)]


def _written(policies: Sequence[str | dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"kind": one} if isinstance(one, str) else one for one in policies]
