"""An experiment's plan: what is asked, of which arms, and how it will be answered.

Unknown keys are errors. Defaults are part of the document that is frozen and digested at the start,
so that a later change of a default changes no experiment.
"""

import re
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from experiments.plans.analysis_spec import AnalysisSpec
from experiments.plans.policies import OF_SHARES
from experiments.plans.sections import (
    AllocationSpec,
    ArmSpec,
    AssignmentSpec,
    AssumptionSpec,
    Duration,
    MetricSpec,
    Name,
    Section,
    StoppingSpec,
)
from experiments.plans.several import require_one_answer

MOST_ARMS = 20
MOST_METRICS = 30
_SUM_TOLERANCE = 1e-9
_UNITS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
# Keys that plans have learned since some were frozen: left out of the document where they say what
# those meant without them, so that a plan has the digest that it always had.
_LEARNED: Final[dict[str, dict[str, Any]]] = {
    "analysis": {
        "correction_over": "metric", "look_shares": None, "spending": "obrien_fleming",
        "spending_exponent": None, "futility": None, "winner_needs": "any",
        "prior": None,
    },
    "allocation": {"window": None, "context": None, "policy_settings": {}},
    "assumptions": {"missing": 0.0},
}  # fmt: skip
_LEARNED_OF_METRICS: Final[dict[str, Any]] = {"question": "superior", "factor_mean": None}

Design = Literal["shadow", "assigned"]


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
    units: Literal["once", "repeated"] | None = Field(
        default=None,
        description="Of an assigned experiment that counts by outcome: whether a unit reports "
        "once, so that arms are compared within periods, or in period after period, so that they "
        "are compared by their means over all outcomes with errors by unit. Where outcomes say "
        "otherwise of the first, nothing is concluded. By default what is compared follows the "
        "outcomes: more than 1.1 of a unit on average are taken for repeated.",
    )
    assumptions: AssumptionSpec | None = Field(
        default=None,
        description="What is thought beforehand: how long the experiment takes, and what it can "
        "show, follows from it. No analysis reads it.",
    )
    tags: list[Name] = Field(
        default=[],
        max_length=20,
        description="By which later plans find it, for their priors.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="before")
    @classmethod
    def _context_of_units(cls, given: Any) -> Any:
        """Refuse a context of a shadow experiment first: nothing inside of it needs mending."""
        if isinstance(given, dict) and given.get("design", "shadow") == "shadow":
            asked = given.get("allocation")
            if isinstance(asked, dict) and asked.get("context") is not None:
                raise ValueError(
                    "allocation.context gives units shares by what they come in: shadow arms see "
                    "every period, whatever it is; it is for the design assigned"
                )
        return given

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
    def _some_primary(cls, metrics: list[MetricSpec]) -> list[MetricSpec]:
        _require_once("metrics", [metric.name for metric in metrics])
        if not any(metric.role == "primary" for metric in metrics):
            raise ValueError("a metric is primary, at least one: the answer is about it")
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
        for unit, arm in self.assignment.overrides.items():
            if arm not in names:
                raise ValueError(f"assignment.overrides sends {unit[:50]!r} to no arm: {arm!r}")
        for metric in self.metrics:
            self._require_metric(metric)
        if self.design == "assigned" and self.weights[0] == 0.0:
            raise ValueError("allocation.weights leaves the control nothing to be compared with")
        if self.design == "shadow":
            self._require_shadow()
        if self.units is not None:
            self._require_units()
        self._require_evidence()
        if self.primary.margin is not None and self.analysis.region_of_equivalence is not None:
            raise ValueError(
                "region_of_equivalence is for the question superior: non_inferior has its margin"
            )
        self._require_futility()
        self._require_policy()
        require_one_answer(self.analysis, self.allocation, self.primaries)
        if self.assumptions is not None:
            self._require_assumptions(self.assumptions)
        return self

    def _require_futility(self) -> None:
        """Refuse to give up near 0 where arms that are alike are an answer."""
        asked = {
            "question: non_inferior": any(one.margin is not None for one in self.primaries),
            "region_of_equivalence": self.analysis.region_of_equivalence is not None,
        }
        named = next((name for name, is_asked in asked.items() if is_asked), None)
        if self.analysis.futility is not None and named is not None:
            raise ValueError(
                f"futility gives up where the arms are alike, and with {named} that is an answer: "
                "leave futility out"
            )

    def _require_units(self) -> None:
        """Refuse to say how often units report where it makes no difference or no answer."""
        if self.design == "shadow" or self.counts_by_exposure:
            raise ValueError(
                "units is of an assigned experiment that counts by outcome: counted by exposure "
                "each unit is in one period"
            )
        if self.units == "repeated" and self.allocation.policy != "fixed":
            raise ValueError("units that report again get no answer while a policy moves shares")
        if self.units == "repeated" and self.analysis.method == "betting":
            raise ValueError(
                "betting takes outcomes one by one, and units that report again differ"
            )

    def _require_evidence(self) -> None:
        """Refuse e-values of units that may report again: these have none."""
        may_repeat = self.design == "assigned" and not self.counts_by_exposure
        if self.analysis.is_by_evidence and may_repeat and self.units != "once":
            raise ValueError(
                "correction benjamini_hochberg takes e-values with the method asymptotic, and "
                "units that report again have none: say units: once, or take holm"
            )

    def _require_assumptions(self, asked: AssumptionSpec) -> None:
        """Refuse assumptions that say nothing of this experiment, or lack what sizes it."""
        is_shadow, is_proportion = self.design == "shadow", self.primary.kind == "proportion"
        if self.primary.kind == "ratio":
            raise ValueError("assumptions size a mean or a proportion, not a ratio")
        if self.units == "repeated":
            raise ValueError(
                "assumptions size units that report once: how sure units: repeated are depends on "
                "how far their own outcomes go together"
            )
        if is_shadow and is_proportion:
            raise ValueError("assumptions size a shadow experiment whose primary metric is a mean")
        wants_baseline = is_proportion and not is_shadow
        if wants_baseline is (asked.baseline is None) or wants_baseline is bool(asked.deviation):
            needed, other = ("baseline", "deviation")[:: 1 if wants_baseline else -1]
            raise ValueError(
                f"assumptions of a {self.primary.kind} have a {needed}, and no {other}"
            )
        if is_shadow is bool(asked.units_per_period):
            verb = "have no" if is_shadow else "need"
            raise ValueError(f"assumptions of the design {self.design} {verb} units_per_period")
        if not is_shadow and asked.autocorrelation:
            raise ValueError("assumptions.autocorrelation is of the design shadow")
        if asked.baseline is not None:
            sign = 1.0 if self.primary.direction == "increase" else -1.0
            if not 0.0 < asked.baseline + sign * asked.effect < 1.0:
                raise ValueError("assumptions: baseline and effect leave no proportion")

    def _require_policy(self) -> None:
        """Refuse a policy that the primary metric has no rewards for."""
        policy, metric = self.allocation.policy, self.primary
        if policy in OF_SHARES and metric.kind != "proportion":
            raise ValueError(
                f"allocation.policy {policy} needs a primary metric of zeros and ones: kind "
                "proportion"
            )
        if policy != "fixed" and metric.kind == "ratio":
            raise ValueError("a policy follows a mean or a proportion, not a ratio")
        if policy == "exp3" and metric.kind == "mean" and metric.bound is None:
            raise ValueError(
                f"allocation.policy exp3 needs the range of its rewards: a bound of {metric.name}, "
                "or the kind proportion"
            )

    def _require_shadow(self) -> None:
        """Refuse what only units have."""
        if self.assignment != AssignmentSpec():
            raise ValueError("assignment is for the design assigned: shadow arms see every period")
        if self.counted_by == "exposure":
            raise ValueError("counted_by exposure is for the design assigned: shadow has none")
        if self.allocation.policy != "fixed":
            raise ValueError("a policy gives shares to units: shadow arms see every period")

    def _require_metric(self, metric: MetricSpec) -> None:
        """Refuse what this design or method cannot say of a metric."""
        if metric.covariate and self.design == "shadow":
            raise ValueError(
                f"{metric.name}: a covariate is for units that were assigned by chance; arms of a "
                "shadow experiment differ in it for good"
            )
        if metric.factor_mean is not None and self.design != "shadow":
            raise ValueError(
                f"{metric.name}: factor_mean is of the design shadow; within a period of an "
                "assigned experiment what all units share is in no difference"
            )
        if self.analysis.method != "betting" or metric.kind == "quantile":
            return
        if metric.kind == "ratio" or metric.covariate:
            raise ValueError(f"{metric.name}: a ratio or an adjusted mean has no bound")
        if metric.bound is None and metric.kind != "proportion":
            raise ValueError(f"betting needs the bound of {metric.name}")

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
        """The metric that decides; of several the first, by which the experiment is sized."""
        return self.primaries[0]

    @property
    def primaries(self) -> list[MetricSpec]:
        """The metrics that decide, in the order of the plan."""
        return [metric for metric in self.metrics if metric.role == "primary"]

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

    @property
    def contexts(self) -> list[str]:
        """The contexts that have shares of their own; one without a name where the plan has none.

        In the order of the plan.
        """
        asked = self.allocation.context
        return [""] if asked is None else list(asked.values)

    def metric(self, name: str) -> MetricSpec | None:
        """Return a metric by its name; None where there is none."""
        return next((metric for metric in self.metrics if metric.name == name), None)

    def document(self) -> dict[str, Any]:
        """Return the document that is stored, with its defaults."""
        counted_by = "exposure" if self.counts_by_exposure else "outcome"
        whole = self.model_dump(mode="json", by_alias=True) | {"counted_by": counted_by}
        for key in ("assumptions", "units", "tags"):
            if not whole[key]:
                del whole[key]
        for metric in whole["metrics"]:
            for key, usual in _LEARNED_OF_METRICS.items():
                if metric[key] == usual:
                    del metric[key]
        for part, learned in _LEARNED.items():
            for key, usual in learned.items() if part in whole else ():
                if whole[part][key] == usual:
                    del whole[part][key]
        return whole


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
