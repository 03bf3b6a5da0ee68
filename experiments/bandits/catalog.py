"""Policies by name, as plans and stored states name them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from experiments.bandits.confidence import KLUCB, UCB1, UCBV, KLUCBGaussian, UCBTuned
from experiments.bandits.contextual import LinearPolicy, LinearThompson, LinUCB
from experiments.bandits.errors import SettingsError, StateError
from experiments.bandits.identification import SuccessiveElimination, TopTwoThompson
from experiments.bandits.mixing import EpsilonGreedy, Exp3, Hedge, Leader, Softmax, Uniform
from experiments.bandits.policy import Policy
from experiments.bandits.thompson import (
    ThompsonBeta,
    ThompsonBootstrap,
    ThompsonGaussian,
    ThompsonNormal,
)

_CLASSES: tuple[type[Policy], ...] = (
    ThompsonBeta,
    ThompsonNormal,
    ThompsonGaussian,
    ThompsonBootstrap,
    UCB1,
    UCBTuned,
    KLUCB,
    KLUCBGaussian,
    UCBV,
    EpsilonGreedy,
    Softmax,
    Exp3,
    Hedge,
    Leader,
    TopTwoThompson,
    SuccessiveElimination,
    Uniform,
)

POLICIES: Mapping[str, type[Policy]] = MappingProxyType({c.name: c for c in _CLASSES})


def make_policy(name: str, n_arms: int, *, seed: int = 0, **settings: Any) -> Policy:
    """Return a new policy by its name.

    Raises
    ------
    SettingsError
        There is no such policy, it has no such setting, or one is outside its domain.
    """
    if name not in POLICIES:
        raise SettingsError(f"There is no policy {name!r}; there are: {', '.join(POLICIES)}.")
    try:
        return POLICIES[name](n_arms, seed=seed, **settings)
    except TypeError as refusal:
        raise SettingsError(f"{name} does not take these settings: {refusal}") from refusal


# Their decisions need a context, so that no plan and no simulated world can have them.
CONTEXTUAL: Mapping[str, type[LinearPolicy]] = MappingProxyType(
    {c.name: c for c in (LinUCB, LinearThompson)}
)


def make_contextual(
    name: str, n_arms: int, n_features: int, *, seed: int = 0, **settings: Any
) -> LinearPolicy:
    """Return a new policy that decides by contexts, by its name.

    Raises
    ------
    SettingsError
        There is no such policy, it has no such setting, or one is outside its domain.
    """
    if name not in CONTEXTUAL:
        raise SettingsError(
            f"There is no policy {name!r} for contexts; there are: {', '.join(CONTEXTUAL)}."
        )
    try:
        return CONTEXTUAL[name](n_arms, n_features, seed=seed, **settings)
    except TypeError as refusal:
        raise SettingsError(f"{name} does not take these settings: {refusal}") from refusal


def load_policy(stored: Mapping[str, Any]) -> Policy:
    """Return the policy that `Policy.to_dict` wrote, of whatever name.

    Raises
    ------
    StateError
        It is of no policy here, or damaged.
    """
    name = str(stored.get("policy"))
    if name not in POLICIES:
        raise StateError(f"There is no policy {name!r} to load.")
    return POLICIES[name].from_dict(stored)
