"""The parts of a plan: an arm, a metric, what is assumed of it, who gets which share.

What concerns one part alone is checked here; what parts mean for each other, by the document.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from unicodedata import is_normalized

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from experiments.plans.policies import SETTINGS, PolicyKind, settings_of

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}(s|min|h|d)$")]


def _seen(text: str) -> str:
    """Refuse a text that looks like another one: they are compared exactly."""
    if not text.isprintable() or text != text.strip():
        raise ValueError("it has signs that cannot be seen, or a space at its ends")
    if not is_normalized("NFC", text):
        raise ValueError("its letters and their marks are apart: write it in Unicode's form NFC")
    return text


# As attributes have them.
Attribute = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_seen)]
Value = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_seen)]

MOST_PERIODS = 100_000
MOST_CONTEXTS = 8

MetricKind = Literal["mean", "proportion", "ratio", "quantile"]
Role = Literal["primary", "secondary", "guardrail"]


class Section(BaseModel):
    """A part of a plan: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ArmSpec(Section):
    """One thing that is tried."""

    name: Name
    control: bool = Field(default=False, description="Whether the others are compared with it.")
    model: str | None = Field(
        default=None,
        max_length=500,
        description="A registered model, models:/NAME/NUMBER or models:/NAME@ALIAS; an alias is "
        "resolved and pinned at the start.",
    )
    strategy: str | None = Field(
        default=None,
        max_length=200,
        description="What a person calls a strategy that is no registered model: it is told, and "
        "neither looked up nor pinned. Register its spec to have both.",
    )
    description: str = Field(default="", max_length=1000)

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if self.model and self.strategy:
            raise ValueError("an arm is a model or a strategy, not both")
        return self


class MetricSpec(Section):
    """One figure by which arms are compared."""

    name: Name
    role: Role = "secondary"
    kind: MetricKind = Field(
        default="mean",
        description="A mean of numbers; a proportion of zeros and ones; a ratio of two means over "
        "all periods (outcomes carry a denominator); a quantile.",
    )
    direction: Literal["increase", "decrease"] = Field(
        default="increase", description="Which way is better."
    )
    question: Literal["superior", "non_inferior"] = Field(
        default="superior",
        description="Of the primary metric: whether a challenger must be better to win, or no "
        "worse by more than the margin, as one that is cheaper or simpler need not be better.",
    )
    margin: Positive | None = Field(
        default=None,
        description="Of a guardrail, and of the question non_inferior: how much worse than the "
        "control is still tolerated, in the metric's unit.",
    )
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Of a metric of kind quantile: which one."
    )
    bound: Positive | None = Field(
        default=None,
        description="Outcomes are cut at plus and minus this, and the target is the mean of what "
        "was cut. The method betting needs it, of a mean; an arm of a shadow experiment then has "
        "one outcome a period.",
    )
    covariate: bool = Field(
        default=False,
        description="Of an assigned experiment: outcomes carry x, a figure of the unit from before "
        "its assignment, such as its result of last month; it takes away variance (CUPED). The "
        "market's return is no such figure: it is the same for both arms of a period, whose "
        "difference has nothing of it to take off.",
    )
    factor_mean: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None,
        description="Of a shadow experiment: outcomes carry x, a factor of the period that is the "
        "same for every arm, such as the market's return, and this is what it is expected to be. "
        "What arms differ in their exposure to it is taken off about that value, with an exposure "
        "estimated from earlier periods alone.",
    )
    unit: str = Field(default="", max_length=40, description="Written behind its values.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.question == "non_inferior" and self.role != "primary":
            raise ValueError(f"the question non_inferior is of the primary metric, not {self.role}")
        if (self.role == "guardrail" or self.question == "non_inferior") is (self.margin is None):
            verb = "has no" if self.margin is not None else "needs"
            asked = f" and asks {self.question}" if self.role == "primary" else ""
            raise ValueError(f"a metric that is {self.role}{asked} {verb} margin")
        if (self.kind == "quantile") is (self.quantile is None):
            verb = "needs" if self.kind == "quantile" else "has no"
            raise ValueError(f"a metric of kind {self.kind} {verb} quantile")
        if self.kind == "ratio" and self.covariate:
            raise ValueError("a ratio's denominator takes the covariate's place: leave one out")
        if self.factor_mean is not None and (self.kind != "mean" or self.covariate or self.bound):
            raise ValueError("factor_mean is of a mean, without a covariate and without a bound")
        if self.kind == "quantile" and self.role != "secondary":
            raise ValueError(
                f"a quantile cannot be {self.role}: its interval holds at one look only"
            )
        if self.kind in {"proportion", "quantile"} and (self.bound or self.covariate):
            raise ValueError(f"a {self.kind} has neither bound nor covariate")
        return self

    @property
    def edge(self) -> float:
        """The difference that an interval is held against: 0, or what the margin tolerates."""
        margin = self.margin or 0.0
        return -margin if self.direction == "increase" else margin


class AssumptionSpec(Section):
    """What is thought of the primary metric beforehand: it sizes the experiment, and no more."""

    effect: Positive = Field(
        description="Difference of the primary metric that is worth seeing, in its unit."
    )
    deviation: Positive | None = Field(
        default=None,
        description="Of a mean: standard deviation of the outcomes of one period about each other "
        "(assigned), or of the period's difference of two arms (shadow).",
    )
    baseline: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Of a proportion: that of the control."
    )
    units_per_period: Positive | None = Field(
        default=None,
        description="Of an assigned experiment: units that come in a period; of them "
        "assignment.share takes part.",
    )
    autocorrelation: Annotated[float, Field(gt=-1, lt=1)] = Field(
        default=0.0, description="Of a shadow experiment: of neighboring differences."
    )
    missing: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="Share that brings nothing: of periods, those without outcomes of both arms "
        "(shadow); of units, those that never report (assigned).",
    )
    power: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        default=0.8, description="Chance of seeing the effect."
    )


class ContextSpec(Section):
    """What a unit comes in, such as the regime of the market: each has shares of its own."""

    attribute: Attribute = Field(
        description="Of a unit that asks for its arm; its value is one of these texts."
    )
    values: list[Value] = Field(min_length=2, max_length=MOST_CONTEXTS)
    otherwise: Value | None = Field(
        default=None,
        description="The context of units whose attribute is missing, or none of the values. "
        "Without it they are refused: a feed that fell silent would else be a context.",
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        folded = [value.casefold() for value in self.values]
        twice = [value for value in self.values if folded.count(value.casefold()) > 1]
        if twice:
            same = "twice" if len(set(twice[:2])) == 1 else f"and {twice[1]!r}, which look alike"
            raise ValueError(f"values names {twice[0]!r} {same}")
        if self.otherwise is not None and self.otherwise not in self.values:
            raise ValueError(f"otherwise is none of the values: {', '.join(self.values)}")
        return self


class AllocationSpec(Section):
    """Which share of units (or of capital) each arm gets, and who changes it."""

    policy: PolicyKind = Field(
        default="fixed",
        description="fixed keeps the weights; the others follow the primary metric, refreshed by "
        "the worker. An object with the name as kind and settings beside it is taken, too.",
    )
    policy_settings: dict[str, Any] = Field(
        default={},
        description="Of the policy, such as the temperature of softmax; by default its own.",
    )
    weights: dict[Name, Share] | None = Field(
        default=None, description="The first shares, which sum to 1; equal by default."
    )
    floor: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        default=0.1,
        description="Least share of every arm while a policy decides: what inference afterwards "
        "rests on.",
    )
    max_step: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.1, description="Largest change of a share at one refresh."
    )
    cap: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="Largest share of a challenger."
    )
    refresh: Duration = Field(default="1h", description="How often the policy decides.")
    discount: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="What a period back is worth, for drifting rewards."
    )
    window: int | None = Field(
        default=None,
        ge=1,
        le=MOST_PERIODS,
        description="Newest periods that the policy follows, for rewards that change at once; all "
        "by default.",
    )
    context: ContextSpec | None = Field(
        default=None,
        description="Shares by context: each follows the outcomes of the units that came in it, "
        "within the same floor, cap and max_step. All begin with the weights.",
    )

    @model_validator(mode="before")
    @classmethod
    def _policy_with_settings(cls, given: Any) -> Any:
        """Take a policy apart that is written as a replay writes it, and complete its settings."""
        if not isinstance(given, dict):
            return given
        policy, settings = given.get("policy", "fixed"), given.get("policy_settings", {})
        if isinstance(policy, dict):
            if settings:
                raise ValueError("policy has its settings already: leave policy_settings out")
            settings = {name: value for name, value in policy.items() if name != "kind"}
            policy = policy.get("kind", "")
        if policy in SETTINGS and isinstance(settings, dict):
            settings = settings_of(policy, settings)
        return {**given, "policy": policy, "policy_settings": settings}


class RampStep(Section):
    """From when on which share of the units takes part."""

    at: datetime
    share: Share

    @field_validator("at")
    @classmethod
    def _has_zone(cls, at: datetime) -> datetime:
        if at.utcoffset() is None:
            raise ValueError("a time needs its zone, such as 2026-01-05T08:00:00Z")
        return at


class AssignmentSpec(Section):
    """How units meet arms, in an assigned experiment."""

    layer: Name | None = Field(
        default=None, description="Experiments of one layer never share a unit."
    )
    share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="Of the layer's units that this experiment takes."
    )
    holdout: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None,
        description="Of the layer's units: those that no experiment of it ever takes. Said when "
        "the layer is first named; later plans agree with it, or say nothing.",
    )
    ramp: list[RampStep] = Field(default=[], max_length=50)
    targeting: dict[str, Any] | None = Field(
        default=None, description="Which units: conditions on their attributes."
    )
    overrides: dict[str, Name] = Field(
        default={}, description="Units that always get an arm; no analysis counts them."
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.holdout is not None and self.layer is None:
            raise ValueError("holdout is of a layer: name it")
        if len(self.overrides) > 10_000:
            raise ValueError("overrides has more than 10,000 units; target them by an attribute")
        times, shares = [s.at for s in self.ramp], [s.share for s in self.ramp]
        if times != sorted(set(times)) or shares != sorted(shares):
            raise ValueError("ramp must ascend, in time and in share: who is in stays in")
        return self


class StoppingSpec(Section):
    """What the platform does by itself."""

    on_answer: Literal["conclude", "notify"] = Field(
        default="conclude", description="When the primary metric has its answer."
    )
    on_guardrail: Literal["pause", "notify"] = "pause"
    on_mismatch: Literal["pause", "notify"] = "pause"
    mismatch_alpha: Annotated[float, Field(gt=0, lt=0.1)] = Field(
        default=0.001, description="Chance of a false alarm about the mix of units, ever."
    )
