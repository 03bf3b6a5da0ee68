"""Allocation policies: who is tried, how often, and what that tells.

In a notebook::

    from experiments.bandits import ThompsonBeta

    bandit = ThompsonBeta(n_arms=3, seed=7)
    arm = bandit.choose()
    bandit.update(arm, reward=1.0)

From sums that are kept elsewhere: ``policy.allocation_of(ArmStatistics(n, total, squares))``.
"""

from experiments.bandits.catalog import (
    CONTEXTUAL,
    POLICIES,
    load_policy,
    make_contextual,
    make_policy,
)
from experiments.bandits.confidence import KLUCB, UCB1, UCBV, KLUCBGaussian, UCBTuned
from experiments.bandits.contextual import LinearPolicy, LinearThompson, LinUCB
from experiments.bandits.delayed import Decision, Delayed
from experiments.bandits.errors import (
    ArmError,
    BanditError,
    LimitsError,
    PropensityError,
    RewardError,
    SettingsError,
    StateError,
)
from experiments.bandits.identification import SuccessiveElimination, TopTwoThompson
from experiments.bandits.limits import AllocationLimits
from experiments.bandits.mixing import EpsilonGreedy, Exp3, Hedge, Leader, Softmax, Uniform
from experiments.bandits.offpolicy import (
    LoggedDecisions,
    PolicyValue,
    direct_method,
    doubly_robust,
    inverse_propensity,
    self_normalized,
)
from experiments.bandits.policy import Policy
from experiments.bandits.posteriors import (
    BetaPosterior,
    LocationPosterior,
    beta_posterior,
    nig_posterior,
    normal_posterior,
    probability_best,
)
from experiments.bandits.sums import ArmStatistics
from experiments.bandits.thompson import (
    ThompsonBeta,
    ThompsonBootstrap,
    ThompsonGaussian,
    ThompsonNormal,
)

__all__ = [
    "CONTEXTUAL",
    "KLUCB",
    "POLICIES",
    "UCB1",
    "UCBV",
    "AllocationLimits",
    "ArmError",
    "ArmStatistics",
    "BanditError",
    "BetaPosterior",
    "Decision",
    "Delayed",
    "EpsilonGreedy",
    "Exp3",
    "Hedge",
    "KLUCBGaussian",
    "Leader",
    "LimitsError",
    "LinUCB",
    "LinearPolicy",
    "LinearThompson",
    "LocationPosterior",
    "LoggedDecisions",
    "Policy",
    "PolicyValue",
    "PropensityError",
    "RewardError",
    "SettingsError",
    "Softmax",
    "StateError",
    "SuccessiveElimination",
    "ThompsonBeta",
    "ThompsonBootstrap",
    "ThompsonGaussian",
    "ThompsonNormal",
    "TopTwoThompson",
    "UCBTuned",
    "Uniform",
    "beta_posterior",
    "direct_method",
    "doubly_robust",
    "inverse_propensity",
    "load_policy",
    "make_contextual",
    "make_policy",
    "nig_posterior",
    "normal_posterior",
    "probability_best",
    "self_normalized",
]
