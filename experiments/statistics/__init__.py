"""Inference for experiments: plain arrays and mergeable sums in, estimates with intervals out.

=================== ====================================================================
module              question
=================== ====================================================================
summaries, sketches what is kept of outcomes
frequentist         two arms of independent units, one look
proportions         yes or no, and tables of counts
quantiles           medians and tails
dependent           two arms that met the same periods: the default of trading arms
variance            the same difference with less noise
multiplicity        several arms and metrics
simultaneous        several estimates that depend on each other
guardrails          did a metric that must not suffer hold
srm                 did units arrive as the allocation says
posteriors,bayesian which arm is best, what a choice costs
power               before the start
adaptive            after an allocation that looked at the outcomes
sequential          looking as often as one likes (a package of its own)
=================== ====================================================================

What to use when, and when not, is in docs/statistics.md.
"""

from experiments.statistics.adaptive import (
    aipw_difference,
    aipw_difference_by_period,
    aipw_mean,
    batched_difference,
)
from experiments.statistics.bayesian import (
    Effect,
    Equivalence,
    Standing,
    chance_of_difference,
    compare_posteriors,
    effect_prior,
    equivalence,
    normal_effect,
    proportion_prior,
)
from experiments.statistics.dependent import (
    mean_difference,
    mean_difference_bootstrap,
    mean_of_series,
    period_differences,
    ratio_difference_by_period,
    robust_lag,
    sharpe_difference,
    sharpe_difference_bootstrap,
)
from experiments.statistics.errors import (
    NotComputedError,
    SampleError,
    SettingsError,
    ShapeError,
    StatisticsError,
)
from experiments.statistics.estimates import (
    Estimate,
)
from experiments.statistics.figure import (
    Figure,
    figure_of,
)
from experiments.statistics.frequentist import (
    mann_whitney,
    paired_t,
    ratio_difference,
    relative_lift,
    t_of_differences,
    welch,
)
from experiments.statistics.guardrails import (
    EquivalenceStatus,
    GuardrailStatus,
    GuardrailVerdict,
    judge_equivalence,
    judge_guardrail,
)
from experiments.statistics.multiplicity import (
    AdjustedPValues,
    adjusted_p_values,
    dunnett,
    simultaneous_confidence,
)
from experiments.statistics.policies import PolicyValue, policy_value
from experiments.statistics.posteriors import (
    Beta,
    Normal,
    NormalInverseGamma,
    Posterior,
    credible_interval,
)
from experiments.statistics.power import (
    NullCheck,
    check_null,
    detectable_information_ratio,
    deviation_of_difference,
    expected_duration,
    minimum_detectable_effect,
    periods_needed,
    power_of_means,
    sample_size_of_means,
    sample_size_of_proportions,
    years_to_detect,
)
from experiments.statistics.proportions import (
    Proportion,
    TableTest,
    chi_square,
    fisher_exact,
    two_proportions,
)
from experiments.statistics.quantiles import (
    quantile_difference,
)
from experiments.statistics.simultaneous import confidence_of_each
from experiments.statistics.sketches import (
    QuantileSketch,
)
from experiments.statistics.srm import (
    SampleRatio,
    anytime_sample_ratio,
    sample_ratio,
)
from experiments.statistics.summaries import (
    Moments,
    PeriodTable,
)
from experiments.statistics.variance import (
    AdjustedEstimate,
    cuped,
    market_adjusted_difference,
)

__all__ = [
    "AdjustedEstimate",
    "AdjustedPValues",
    "Beta",
    "Effect",
    "Equivalence",
    "EquivalenceStatus",
    "Estimate",
    "Figure",
    "GuardrailStatus",
    "GuardrailVerdict",
    "Moments",
    "Normal",
    "NormalInverseGamma",
    "NotComputedError",
    "NullCheck",
    "PeriodTable",
    "PolicyValue",
    "Posterior",
    "Proportion",
    "QuantileSketch",
    "SampleError",
    "SampleRatio",
    "SettingsError",
    "ShapeError",
    "Standing",
    "StatisticsError",
    "TableTest",
    "adjusted_p_values",
    "aipw_difference",
    "aipw_difference_by_period",
    "aipw_mean",
    "anytime_sample_ratio",
    "batched_difference",
    "chance_of_difference",
    "check_null",
    "chi_square",
    "compare_posteriors",
    "confidence_of_each",
    "credible_interval",
    "cuped",
    "detectable_information_ratio",
    "deviation_of_difference",
    "dunnett",
    "effect_prior",
    "equivalence",
    "expected_duration",
    "figure_of",
    "fisher_exact",
    "judge_equivalence",
    "judge_guardrail",
    "mann_whitney",
    "market_adjusted_difference",
    "mean_difference",
    "mean_difference_bootstrap",
    "mean_of_series",
    "minimum_detectable_effect",
    "normal_effect",
    "paired_t",
    "period_differences",
    "periods_needed",
    "policy_value",
    "power_of_means",
    "proportion_prior",
    "quantile_difference",
    "ratio_difference",
    "ratio_difference_by_period",
    "relative_lift",
    "robust_lag",
    "sample_ratio",
    "sample_size_of_means",
    "sample_size_of_proportions",
    "sharpe_difference",
    "sharpe_difference_bootstrap",
    "simultaneous_confidence",
    "t_of_differences",
    "two_proportions",
    "welch",
    "years_to_detect",
]
