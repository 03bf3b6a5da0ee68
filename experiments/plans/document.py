"""An experiment's plan: what is asked, of which arms, and how it will be answered.

Unknown keys are errors. Defaults are part of the document that is frozen and digested at the start,
so that a later change of a default changes no experiment.
"""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}(s|min|h|d)$")]

MOST_ARMS = 20
MOST_METRICS = 30
MOST_PERIODS = 100_000
_SUM_TOLERANCE = 1e-9
_LEAST_PERIODS = 20
_ONE_LOOK = ("fixed_horizon", "group_sequential")
_UNITS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}

Design = Literal["shadow", "assigned"]
MetricKind = Literal["mean", "proportion", "ratio", "quantile"]
Role = Literal["primary", "secondary", "guardrail"]
Method = Literal[
    "planned_sequence", "asymptotic", "group_sequential", "empirical_bernstein", "fixed_horizon"
]
PolicyKind = Literal[
    "fixed", "thompson_normal", "thompson_beta", "top_two_thompson", "ucb1", "kl_ucb_gaussian",
    "epsilon_greedy", "softmax", "leader",
]  # fmt: skip


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
        description="A mean of numbers; a proportion of zeros and ones; a ratio of two sums "
        "(outcomes carry a denominator); a quantile.",
    )
    direction: Literal["increase", "decrease"] = Field(
        default="increase", description="Which way is better."
    )
    margin: Positive | None = Field(
        default=None,
        description="Of a guardrail: how much worse than the control is still tolerated, in the "
        "metric's unit.",
    )
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Of a metric of kind quantile: which one."
    )
    bound: Positive | None = Field(
        default=None,
        description="Outcomes are cut at plus and minus this, and the target is the mean of what "
        "was cut. The method empirical_bernstein needs it.",
    )
    covariate: bool = Field(
        default=False,
        description="Outcomes carry x, a figure known before the assignment (the market's return, "
        "a past result); it takes away variance (CUPED).",
    )
    unit: str = Field(default="", max_length=40, description="Written behind its values.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.role == "guardrail") is (self.margin is None):
            verb = "needs" if self.role == "guardrail" else "has no"
            raise ValueError(f"a metric that is {self.role} {verb} margin")
        if (self.kind == "quantile") is (self.quantile is None):
            verb = "needs" if self.kind == "quantile" else "has no"
            raise ValueError(f"a metric of kind {self.kind} {verb} quantile")
        if self.kind == "ratio" and self.covariate:
            raise ValueError("a ratio's denominator takes the covariate's place: leave one out")
        if self.kind == "quantile" and self.role != "secondary":
            raise ValueError(
                f"a quantile cannot be {self.role}: its interval holds at one look only"
            )
        if self.kind in {"proportion", "quantile"} and (self.bound or self.covariate):
            raise ValueError(f"a {self.kind} has neither bound nor covariate")
        return self


class AnalysisSpec(Section):
    """How the question is answered."""

    method: Method = Field(
        default="planned_sequence",
        description="planned_sequence holds at every look up to the horizon, under dependence and "
        "heavy tails. asymptotic holds for ever and is wider. group_sequential holds at the "
        "planned looks; empirical_bernstein for bounded outcomes, without asymptotics; "
        "fixed_horizon at one look, at the end.",
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    horizon_periods: int = Field(
        ge=2,
        le=MOST_PERIODS,
        description="Periods after which the experiment ends, answer or not.",
    )
    minimum_periods: int | None = Field(
        default=None,
        ge=2,
        description="Periods before the first interval; by default an eighth of the horizon, and "
        "never fewer than 10 batches (25 of the method asymptotic).",
    )
    batch_periods: int | None = Field(
        default=None,
        ge=1,
        description="Periods that are taken together, longer than a position is held; by default "
        "10, fewer where the horizon is below 220.",
    )
    n_looks: int = Field(
        default=5, ge=2, le=50, description="Of group_sequential: looks at equal distances."
    )
    correction: Literal["bonferroni", "none"] = Field(
        default="bonferroni",
        description="Over the challengers of a metric: each interval's confidence is raised, so "
        "that all of them hold together.",
    )
    region_of_equivalence: Positive | None = Field(
        default=None,
        description="Differences of the primary metric that are none: where the interval lies "
        "inside, the experiment ends with no difference.",
    )
    prior_deviation: Positive | None = Field(
        default=None,
        description="Standard deviation of the differences one expects, for the Bayesian figures; "
        "by default they say nothing beyond the data.",
    )

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.method == "group_sequential" and self.horizon_periods < 10 * self.n_looks:
            raise ValueError(
                f"{self.n_looks} looks need a horizon_periods of {10 * self.n_looks} at least"
            )
        if self.method in _ONE_LOOK:
            if self.horizon_periods < _LEAST_PERIODS:
                raise ValueError(f"horizon_periods must be {_LEAST_PERIODS} at least")
        elif self.start >= self.horizon_periods:
            raise ValueError(
                f"the first interval comes after {self.start} periods ({self.batch} at a time): "
                f"horizon_periods of {self.horizon_periods} leaves no room for it"
            )
        return self

    @property
    def batch(self) -> int:
        """Periods taken together."""
        return self.batch_periods or max(1, min(10, self.horizon_periods // 22))

    @property
    def start(self) -> int:
        """Periods before the first interval."""
        least = self.batch * (25 if self.method == "asymptotic" else 10)
        usual = -(-self.horizon_periods // 8)
        return max(usual if self.minimum_periods is None else self.minimum_periods, least)


class AllocationSpec(Section):
    """Which share of units (or of capital) each arm gets, and who changes it."""

    policy: PolicyKind = Field(
        default="fixed",
        description="fixed keeps the weights; the others follow the primary metric, refreshed by "
        "the worker.",
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


class ExperimentPlan(Section):
    """A question, the arms it is about, and how it will be answered."""

    name: Name
    hypothesis: str = Field(
        min_length=1, max_length=2000, description="What would be true if it succeeds."
    )
    design: Design = Field(
        default="shadow",
        description="shadow: every arm is traded on paper in every period, and paired by time. "
        "assigned: each unit meets one arm.",
    )
    arms: list[ArmSpec] = Field(min_length=2, max_length=MOST_ARMS)
    metrics: list[MetricSpec] = Field(min_length=1, max_length=MOST_METRICS)
    period: Duration = Field(
        default="1d",
        description="Outcomes of one period share its shocks: it is the unit of analysis.",
    )
    analysis: AnalysisSpec
    allocation: AllocationSpec = AllocationSpec()
    assignment: AssignmentSpec = AssignmentSpec()
    stopping: StoppingSpec = StoppingSpec()
    counted_by: Literal["exposure", "outcome"] | None = Field(
        default=None,
        description="Of an assigned experiment: the moment whose period an outcome belongs to, its "
        "unit's exposure or its own. By default the exposure where a policy moves the shares, so "
        "that arms are compared over units that met them together, however late the outcomes come.",
    )
    lateness: Annotated[str, Field(pattern=r"^(0s|[1-9][0-9]{0,5}(s|min|h|d))$")] = Field(
        default="0s",
        description="How late an outcome may come: a period is analyzed once one this much newer "
        "has been seen. Counted by exposure: the longest time from a unit's exposure to its "
        "outcome.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63)

    @field_validator("arms")
    @classmethod
    def _one_control(cls, arms: list[ArmSpec]) -> list[ArmSpec]:
        _require_once("arms", [arm.name for arm in arms])
        n_controls = sum(arm.control for arm in arms)
        if n_controls != 1:
            raise ValueError(f"exactly one arm is the control, not {n_controls}")
        return arms

    @field_validator("metrics")
    @classmethod
    def _one_primary(cls, metrics: list[MetricSpec]) -> list[MetricSpec]:
        _require_once("metrics", [metric.name for metric in metrics])
        n_primary = sum(metric.role == "primary" for metric in metrics)
        if n_primary != 1:
            raise ValueError(
                f"exactly one metric is primary, not {n_primary}: it is what the answer is about"
            )
        return metrics

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [arm.name for arm in self.arms]
        weights = self.allocation.weights
        if weights is not None:
            _require_weights(weights, names)
        if max(self.weights[1:]) > self.allocation.cap:
            raise ValueError(f"allocation.cap of {self.allocation.cap:g} is below a first share")
        if self.allocation.policy != "fixed" and self.allocation.floor * len(names) > 1.0:
            raise ValueError(
                f"allocation.floor of {self.allocation.floor:g} for {len(names)} arms is more than "
                "the whole"
            )
        if self.design == "shadow" and self.assignment != AssignmentSpec():
            raise ValueError("assignment is for the design assigned: shadow arms see every period")
        for unit, arm in self.assignment.overrides.items():
            if arm not in names:
                raise ValueError(f"assignment.overrides sends {unit[:50]!r} to no arm: {arm!r}")
        for metric in self.metrics:
            self._require_metric(metric)
        if self.design == "assigned" and self.weights[0] == 0.0:
            raise ValueError("allocation.weights leaves the control nothing to be compared with")
        if self.design == "shadow" and self.counted_by == "exposure":
            raise ValueError("counted_by exposure is for the design assigned: shadow has none")
        if self.design == "shadow" and self.allocation.policy != "fixed":
            raise ValueError("a policy gives shares to units: shadow arms see every period")
        if self.allocation.policy == "thompson_beta" and self.primary.kind != "proportion":
            raise ValueError(
                "allocation.policy thompson_beta needs a primary metric of zeros and "
                "ones: kind proportion"
            )
        if self.allocation.policy != "fixed" and self.primary.kind == "ratio":
            raise ValueError("a policy follows a mean or a proportion, not a ratio")
        return self

    def _require_metric(self, metric: MetricSpec) -> None:
        """Refuse what this design or method cannot say of a metric."""
        if metric.covariate and self.design == "shadow":
            raise ValueError(
                f"{metric.name}: a covariate is for units that were assigned by chance; arms of a "
                "shadow experiment differ in it for good"
            )
        if self.analysis.method != "empirical_bernstein" or metric.kind == "quantile":
            return
        if metric.kind == "ratio" or metric.covariate:
            raise ValueError(f"{metric.name}: a ratio or an adjusted mean has no bound")
        if metric.bound is None and metric.kind != "proportion":
            raise ValueError(f"empirical_bernstein needs the bound of {metric.name}")

    @property
    def control(self) -> ArmSpec:
        """The arm that the others are compared with."""
        return next(arm for arm in self.arms if arm.control)

    @property
    def ordered_arms(self) -> list[ArmSpec]:
        """All arms, the control first, the others as they were written."""
        return [self.control, *(arm for arm in self.arms if not arm.control)]

    @property
    def primary(self) -> MetricSpec:
        """The metric that decides."""
        return next(metric for metric in self.metrics if metric.role == "primary")

    @property
    def period_ns(self) -> int:
        """Length of a period [ns]."""
        return int(duration(self.period).total_seconds()) * 1_000_000_000

    @property
    def counts_by_exposure(self) -> bool:
        """Whether an outcome belongs to the period of its unit's exposure."""
        if self.counted_by is None:
            return self.design == "assigned" and self.allocation.policy != "fixed"
        return self.counted_by == "exposure"

    @property
    def weights(self) -> list[float]:
        """First shares, in the order of `ordered_arms`."""
        given = self.allocation.weights
        if given is None:
            return [1.0 / len(self.arms)] * len(self.arms)
        return [float(given.get(arm.name, 0.0)) for arm in self.ordered_arms]

    def metric(self, name: str) -> MetricSpec | None:
        """Return a metric by its name; None where there is none."""
        return next((metric for metric in self.metrics if metric.name == name), None)

    def document(self) -> dict[str, Any]:
        """Return the document that is stored, with its defaults."""
        counted_by = "exposure" if self.counts_by_exposure else "outcome"
        return self.model_dump(mode="json") | {"counted_by": counted_by}


def duration(text: str) -> timedelta:
    """Return a duration of a plan, such as ``90min``.

    Raises
    ------
    ValueError
        It is none.
    """
    found = re.fullmatch(r"(0|[1-9][0-9]{0,5})(s|min|h|d)", text)
    if found is None:
        raise ValueError(f"{text!r} is no duration: 30s, 5min, 1h or 1d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _require_once(what: str, names: list[str]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{what} names {twice[0]!r} twice")


def _require_weights(weights: dict[str, float], names: list[str]) -> None:
    unknown = sorted(set(weights) - set(names))
    if unknown:
        raise ValueError(f"allocation.weights names no arm: {unknown[0]!r}")
    missing = [name for name in names if name not in weights]
    if missing:
        raise ValueError(f"allocation.weights says nothing of {missing[0]!r}; 0 is a weight")
    total = sum(weights.values())
    if abs(total - 1.0) > _SUM_TOLERANCE:
        raise ValueError(f"allocation.weights sum to {total:.6g}; they must sum to 1")
    if sum(weight > 0.0 for weight in weights.values()) < 2:
        raise ValueError("allocation.weights leaves fewer than two arms with a share")
