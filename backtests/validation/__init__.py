"""Splits and honest statistics: plain arrays in, figures with their reasons out."""

from backtests.validation.checks import StoredBlocks
from backtests.validation.comparison import (
    Comparison,
    Differences,
    compare_strategies,
    pareto_front,
)
from backtests.validation.differences import (
    SharpeDifference,
    sharpe_difference,
    sharpe_difference_bootstrap,
)
from backtests.validation.errors import (
    NotComputedError,
    SampleError,
    SettingsError,
    ShapeError,
    StatisticsError,
)
from backtests.validation.excess import ExcessReport, excess_report
from backtests.validation.figure import Figure
from backtests.validation.haircut import Haircut, haircut_sharpe_ratio
from backtests.validation.leading import LeaderReport, choose_leaders, leader_report
from backtests.validation.overfitting import (
    Overfitting,
    overfitting_of_blocks,
    overfitting_of_stored,
    probability_of_backtest_overfitting,
)
from backtests.validation.selection import SelectionReport, selection_report
from backtests.validation.settings import SelectionSettings
from backtests.validation.sharpe import (
    annualized_sharpe_ratio,
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    minimum_backtest_length,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
)
from backtests.validation.splits import (
    CombinatorialSplits,
    Range,
    Split,
    combinatorial_purged_splits,
    count_bars_of_days,
    days_of,
    walk_forward_splits,
    walk_forward_splits_by_day,
)
from backtests.validation.superiority import (
    ConfidenceSet,
    SuperiorAbility,
    SuperiorSet,
    model_confidence_set,
    superior_predictive_ability,
    superior_strategies,
)
from backtests.validation.trials import (
    EffectiveTrials,
    TrialSummaries,
    effective_number_of_trials,
)

__all__ = [
    "CombinatorialSplits",
    "Comparison",
    "ConfidenceSet",
    "Differences",
    "EffectiveTrials",
    "ExcessReport",
    "Figure",
    "Haircut",
    "LeaderReport",
    "NotComputedError",
    "Overfitting",
    "Range",
    "SampleError",
    "SelectionReport",
    "SelectionSettings",
    "SettingsError",
    "ShapeError",
    "SharpeDifference",
    "Split",
    "StatisticsError",
    "StoredBlocks",
    "SuperiorAbility",
    "SuperiorSet",
    "TrialSummaries",
    "annualized_sharpe_ratio",
    "choose_leaders",
    "combinatorial_purged_splits",
    "compare_strategies",
    "count_bars_of_days",
    "days_of",
    "deflated_sharpe_ratio",
    "effective_number_of_trials",
    "excess_report",
    "expected_maximum_sharpe",
    "haircut_sharpe_ratio",
    "leader_report",
    "minimum_backtest_length",
    "minimum_track_record_length",
    "model_confidence_set",
    "overfitting_of_blocks",
    "overfitting_of_stored",
    "pareto_front",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "selection_report",
    "sharpe_difference",
    "sharpe_difference_bootstrap",
    "superior_predictive_ability",
    "superior_strategies",
    "walk_forward_splits",
    "walk_forward_splits_by_day",
]
