"""How a plan's question is answered: by which method, how surely, and when one looks."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from experiments.plans.prior_spec import PriorSpec
from experiments.plans.sections import MOST_PERIODS, Positive, Section

_LEAST_PERIODS = 20
_LEAST_APART, _LEAST_BATCHES = 10, 4  # looks of a schedule; before its first, for an error
_WITH_EVIDENCE = ("fixed_horizon", "asymptotic")
_ONE_LOOK = ("fixed_horizon", "group_sequential")

Spending = Literal["obrien_fleming", "pocock", "power"]
Correction = Literal["bonferroni", "holm", "dunnett", "benjamini_hochberg", "none"]
Method = Literal["planned_sequence", "asymptotic", "group_sequential", "betting", "fixed_horizon"]


class AnalysisSpec(Section):
    """How the question is answered."""

    method: Method = Field(
        default="planned_sequence",
        description="planned_sequence holds at every look up to the horizon, under dependence and "
        "heavy tails. asymptotic holds for ever and is wider. group_sequential holds at the "
        "planned looks; betting (the hedged capital of a gambler) for outcomes within bounds that "
        "do not depend on each other, without asymptotics; fixed_horizon at one look, at the end.",
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
        default=5,
        ge=2,
        le=50,
        description="Of group_sequential: looks, at equal distances unless look_shares says where.",
    )
    look_shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = Field(
        default=None,
        min_length=2,
        max_length=50,
        description="Of group_sequential: shares of the horizon after which one looks, ascending "
        "to 1.",
    )
    spending: Spending = Field(
        default="obrien_fleming",
        description="Of group_sequential: how the error is spent. obrien_fleming hardly any early, "
        "so that the last look costs next to nothing; pocock about alike at all looks; power as "
        "share ** spending_exponent.",
    )
    spending_exponent: Annotated[float, Field(gt=0, le=10)] | None = Field(
        default=None, description="Of the spending power; 2 by default."
    )
    futility: Literal["advise", "stop"] | None = Field(
        default=None,
        description="Of group_sequential: what happens at a look that makes an answer unlikely by "
        "the end. It is said, or the experiment ends as inconclusive. The bound of an answer does "
        "not count on it: who goes on all the same is no less sure.",
    )
    correction: Correction = Field(
        default="bonferroni",
        description="bonferroni raises each interval's confidence, so that all of them hold "
        "together. holm gives what a comparison that is settled (its interval leaves 0 out) no "
        "longer needs to those that are open: no more differences are found by chance, but the "
        "intervals of the open ones hold one by one. dunnett, of fixed_horizon, uses that "
        "challengers share their control. benjamini_hochberg, of fixed_horizon and (by e-values) "
        "of asymptotic, bounds the expected share of false ones among the differences found, not "
        "the chance of any.",
    )
    correction_over: Literal["metric", "plan"] = Field(
        default="metric",
        description="What is corrected for: the challengers of each metric, all primary ones "
        "counting as one, or those of the primary and all secondary metrics together. Guardrails "
        "are always each by itself.",
    )
    winner_needs: Literal["any", "all"] = Field(
        default="any",
        description="Of several primary metrics: what a challenger takes to win. any: it is shown "
        "to be better on one at least, and on none to be worse. all: on each of them to be better, "
        "which takes no correction for their number.",
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
    prior: PriorSpec | None = Field(
        default=None,
        description="Of the Bayesian figures of the primary metrics: the law of the differences "
        "that concluded experiments found. It is read and pinned at the start. No interval and no "
        "verdict reads it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _looks_counted(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("look_shares"), list | tuple):
            return {"n_looks": len(given["look_shares"]), **given}
        return given

    @model_validator(mode="after")
    def _scheduled(self) -> Self:
        asked = {
            "look_shares": self.look_shares is not None, "futility": self.futility is not None,
            "spending": self.spending != "obrien_fleming",
            "spending_exponent": self.spending_exponent is not None,
        }  # fmt: skip
        named = ", ".join(name for name, is_asked in asked.items() if is_asked)
        if named and self.method != "group_sequential":
            raise ValueError(f"{named}: of the method group_sequential alone")
        if self.spending_exponent is not None and self.spending != "power":
            raise ValueError("spending_exponent is of the spending power alone")
        if self.look_shares is not None:
            self._require_looks(self.look_shares)
        return self

    def _require_looks(self, shares: tuple[float, ...]) -> None:
        if self.n_looks != len(shares):
            raise ValueError(f"n_looks is {self.n_looks}, look_shares has {len(shares)}: leave one")
        if list(shares) != sorted(set(shares)) or shares[-1] != 1.0:
            raise ValueError("look_shares must ascend to 1, which is the horizon")
        looks = [round(share * self.horizon_periods) for share in shares]
        apart = min(later - look for look, later in pairwise(looks))
        if apart < _LEAST_APART:
            raise ValueError(
                f"look_shares has looks {apart} periods apart; {_LEAST_APART} are the least"
            )
        if looks[0] < _LEAST_BATCHES * self.batch:
            raise ValueError(
                f"look_shares has a look after {looks[0]} periods, taken {self.batch} at a time; "
                f"it takes {_LEAST_BATCHES} times that many"
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

    @model_validator(mode="after")
    def _correctable(self) -> Self:
        if self.correction == "dunnett" and self.method != "fixed_horizon":
            raise ValueError(
                "correction dunnett is for one look, the method fixed_horizon: where one looks "
                "again and again take holm, or with the method asymptotic benjamini_hochberg"
            )
        if self.correction == "benjamini_hochberg" and self.method not in _WITH_EVIDENCE:
            raise ValueError(
                "correction benjamini_hochberg takes p-values of one look (the method "
                f"fixed_horizon) or e-values (asymptotic), and {self.method} has neither: take "
                "holm, or another method"
            )
        return self

    @model_validator(mode="after")
    def _one_prior(self) -> Self:
        if self.prior is not None and self.prior_deviation is not None:
            raise ValueError("prior and prior_deviation are two priors: leave one out")
        return self

    @property
    def is_by_evidence(self) -> bool:
        """Whether differences are found by e-values as they stand at the newest look."""
        return self.correction == "benjamini_hochberg" and self.method == "asymptotic"

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

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of the horizon after which a group sequential plan looks."""
        if self.look_shares is not None:
            return self.look_shares
        return tuple(k / self.n_looks for k in range(1, self.n_looks + 1))

    @property
    def first_look(self) -> int:
        """Periods after which the method has its first interval, of all but guardrails."""
        first = {
            "fixed_horizon": self.horizon_periods,
            "group_sequential": max(1, round(self.shares[0] * self.horizon_periods)),
            "betting": 1,
        }
        return first.get(self.method, self.start)
