"""The policies that a plan can have, and their settings.

Settings are those of the classes in `experiments.bandits`, with the same defaults, written here
once more so that a plan is checked without the compiled kernels. Rewards are standardized before
a policy sees them, so that a scale, a prior or a temperature is in deviations of one outcome; not
those of proportions and of exp3. Forgetting is by period, and a key of `allocation`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PolicyKind = Literal[
    "fixed", "thompson_normal", "thompson_gaussian", "thompson_bootstrap", "thompson_beta",
    "top_two_thompson", "ucb1", "ucb_tuned", "ucb_v", "kl_ucb", "kl_ucb_gaussian",
    "epsilon_greedy", "softmax", "exp3", "leader",
]  # fmt: skip
OF_SHARES = ("thompson_beta", "kl_ucb")  # rewards from 0 to 1 alone

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class NoSettings(BaseModel):
    """Settings of a policy that has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ThompsonNormal(NoSettings):
    """Normal-inverse-gamma prior: mean, worth in rewards, shape and scale."""

    prior: tuple[Finite, Positive, Positive, Positive] = (0.0, 1.0, 1.0, 1.0)


class ThompsonGaussian(NoSettings):
    """Deviation of a reward; mean and deviation of the prior."""

    scale: Positive = 1.0
    prior: tuple[Finite, Positive] = (0.0, 1.0)


class ThompsonBootstrap(NoSettings):
    """Replicates, over whole periods; mean and deviation of the reward each begins with."""

    n_replicates: Annotated[int, Field(ge=2, le=1_000)] = 100
    prior: tuple[Finite, NotNegative] = (0.0, 1.0)


class ThompsonBeta(NoSettings):
    """Shapes of the Beta prior."""

    prior: tuple[Positive, Positive] = (1.0, 1.0)


class TopTwoThompson(NoSettings):
    """How often the first draw is played, rather than its rival."""

    leader_share: Annotated[float, Field(gt=0, lt=1)] = 0.5


class UCB1(NoSettings):
    """Range or deviation of a reward; the factor of ln t."""

    scale: Positive = 1.0
    exploration: Positive = 2.0


class Scaled(NoSettings):
    """Range or deviation of a reward."""

    scale: Positive = 1.0


class UCBV(Scaled):
    """The factor of the range, too."""

    bonus: NotNegative = 3.0


class KLUCB(NoSettings):
    """The factor of ln ln t."""

    c: NotNegative = 0.0


class EpsilonGreedy(NoSettings):
    """Share of exploration, or what it falls from: min(1, decay / t)."""

    epsilon: Annotated[float, Field(ge=0, le=1)] = 0.1
    decay: Positive | None = None


class Softmax(NoSettings):
    """Difference of means by which shares differ by the factor e."""

    temperature: Positive = 0.1


class Exp3(NoSettings):
    """Share of uniform exploration, and rate of learning."""

    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1


SETTINGS: Mapping[str, type[NoSettings]] = MappingProxyType(
    {
        "fixed": NoSettings, "thompson_normal": ThompsonNormal,
        "thompson_gaussian": ThompsonGaussian, "thompson_bootstrap": ThompsonBootstrap,
        "thompson_beta": ThompsonBeta, "top_two_thompson": TopTwoThompson, "ucb1": UCB1,
        "ucb_tuned": Scaled, "ucb_v": UCBV, "kl_ucb": KLUCB, "kl_ucb_gaussian": Scaled,
        "epsilon_greedy": EpsilonGreedy, "softmax": Softmax, "exp3": Exp3, "leader": NoSettings,
    }
)  # fmt: skip
_OWN = {
    "seed": "the seed is the plan's",
    "discount": "forgetting is by period: allocation.discount",
    "window": "forgetting is by period: allocation.window",
    "posterior": "the posterior follows the kind of the primary metric",
    "reward_range": "the range is that of the primary metric: its kind or its bound",
}


def settings_of(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a policy with all their defaults; none where none are given.

    Raises
    ------
    ValueError
        The policy has no such setting, or it is outside its domain.
    """
    if not given:
        return {}
    for name, why in _OWN.items():
        if name in given:
            raise ValueError(f"policy_settings.{name}: {why}")
    try:
        return SETTINGS[kind].model_validate(dict(given)).model_dump(mode="json")
    except ValidationError as refusal:
        fault = refusal.errors()[0]
        name = ".".join(str(part) for part in fault["loc"])
        known = ", ".join(SETTINGS[kind].model_fields) or "none"
        said = fault["msg"]
        if fault["type"] == "extra_forbidden":
            said = f"{kind} has no such setting; there are: {known}"
        raise ValueError(f"policy_settings.{name}: {said}") from refusal
