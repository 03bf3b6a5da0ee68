"""The steps of a selection report, each figure with its value or its reason."""

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backtests.validation.checks import FloatArray, StoredBlocks, matrix_of, require, vector_of
from backtests.validation.errors import NotComputedError, SettingsError, ShapeError
from backtests.validation.figure import Figure, figure_of
from backtests.validation.haircut import Adjusted, Haircut, haircut_sharpe_ratio
from backtests.validation.overfitting import (
    Overfitting,
    overfitting_of_blocks,
    overfitting_of_stored,
)
from backtests.validation.settings import SelectionSettings
from backtests.validation.sharpe import (
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    minimum_backtest_length,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
)
from backtests.validation.superiority import SuperiorAbility, superior_predictive_ability
from backtests.validation.trials import (
    EffectiveTrials,
    TrialSummaries,
    effective_number_of_trials,
)
from numerics.multiplicity import holm

# With fewer observations the studentized test rejects far too often: docs/validation.md.
FEWEST_FOR_BOOTSTRAP = 250
_MOST_BLOCKS = 20
_USUAL_CORRELATION, _MOST_CORRELATION = 0.2, 0.8  # of Harvey and Liu's companion tests


class BlockSums:
    """Sums by block of the trials that have all of them."""

    def __init__(
        self,
        returns: ArrayLike | StoredBlocks,
        squares: ArrayLike | None,
        bars: ArrayLike | None,
    ) -> None:
        self.squares: FloatArray | None = None
        self.bars: FloatArray | None = None
        self.sums: FloatArray | StoredBlocks
        if isinstance(returns, StoredBlocks):
            if bars is None or squares is not None:
                raise SettingsError("Stored blocks have squares, and need the bars in each block.")
            self.sums, self.bars = returns, vector_of(bars, "block_bars")
            return
        given = np.asarray(returns, dtype=np.float64)
        if given.ndim != 2 or 0 in given.shape:
            raise ShapeError(
                f"block_returns must be a matrix that is not empty, not {given.shape}."
            )
        complete = np.isfinite(given).all(axis=1)
        self.sums = given if complete.all() else given[complete]  # of a million trials, 128 MB
        if squares is None:
            return
        table = np.asarray(squares, dtype=np.float64)
        if bars is None:
            raise SettingsError("Squares by block need the number of bars in each block.")
        self.bars = vector_of(bars, "block_bars")
        if table.shape != given.shape or self.bars.shape != given.shape[1:]:
            raise ShapeError("Sums, squares and bars by block do not fit.")
        self.squares = table if complete.all() else table[complete]

    @property
    def n_trials(self) -> int:
        """How many trials have all sums."""
        return self.sums.n_trials if isinstance(self.sums, StoredBlocks) else self.sums.shape[0]

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        return self.sums.n_blocks if isinstance(self.sums, StoredBlocks) else self.sums.shape[1]

    def overfitting(self) -> Overfitting:
        """Return the probability of overfitting and what goes with it."""
        if isinstance(self.sums, StoredBlocks):
            assert self.bars is not None  # noqa: S101 - stored ones have them
            return overfitting_of_stored(self.sums, block_bars=self.bars)
        sums, squares, bars = self._merged(self.sums)
        require(sums.shape[1] >= 4, "there are fewer than four blocks")
        return overfitting_of_blocks(sums, block_squares=squares, block_bars=bars)

    def _merged(self, sums: FloatArray) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
        """Return the sums over neighboring blocks, few enough to try every half of them."""
        n_blocks = self.n_blocks
        if n_blocks <= _MOST_BLOCKS and n_blocks % 2 == 0:
            return sums, self.squares, self.bars
        fit = [s for s in range(_MOST_BLOCKS, 3, -2) if n_blocks % s == 0]
        require(bool(fit), f"{n_blocks} blocks cannot be merged into an even number of at most 20")
        size = 16 if 16 in fit else fit[0]

        def merge(table: FloatArray) -> FloatArray:
            sums: FloatArray = table.reshape(table.shape[0], size, -1).sum(axis=2)
            return sums

        squares = None if self.squares is None else merge(self.squares)
        bars = None if self.bars is None else self.bars.reshape(size, -1).sum(axis=1)
        return merge(sums), squares, bars


class Search:
    """The search and what is worked out of it on the way."""

    def __init__(
        self,
        trials: TrialSummaries,
        n_trials: int,
        periods: float,
        variance: float | None,
        settings: SelectionSettings,
        chosen: int | None = None,
    ) -> None:
        self.trials, self.n, self.periods, self.settings = trials, n_trials, periods, settings
        self.sharpe, self.year = trials.sharpe, math.sqrt(periods)
        known = np.flatnonzero(np.isfinite(self.sharpe))
        self.chosen = chosen
        self.best = chosen
        if chosen is None:
            self.best = int(known[np.argmax(self.sharpe[known])]) if known.size else None
        elif not np.isfinite(self.sharpe[chosen]):
            self.best = None
        self.given_variance = variance
        self.n_known = known.size
        self.effective: EffectiveTrials | None = None
        self.no_effective = "the returns of trials by block are not given"
        self.overfitting: Overfitting | None = None
        self.superiority: SuperiorAbility | None = None

    def count_effective(self, blocks: BlockSums | None) -> None:
        """Count independent trials, or keep the reason why not."""
        if blocks is None:
            return
        try:
            require(blocks.n_trials > 0, "no trial has a return in every block")
            self.effective = effective_number_of_trials(blocks.sums, seed=self.settings.seed)
        except NotComputedError as refusal:
            self.no_effective = str(refusal)

    def _best(self) -> int:
        if self.best is None:
            raise NotComputedError(
                "no trial has a Sharpe ratio"
                if self.chosen is None
                else "the best trial has no Sharpe ratio"
            )
        return self.best

    def _n_effective(self) -> float:
        """Return the effective number, in proportion for trials whose blocks are not there."""
        if self.effective is None:
            raise NotComputedError(self.no_effective)
        share = self.effective.number / self.effective.n_trials
        return max(1.0, min(float(self.n), share * self.n))

    def _correlation(self) -> float:
        if self.settings.average_correlation is not None:
            return self.settings.average_correlation
        if self.effective is None:
            return _USUAL_CORRELATION
        return min(_MOST_CORRELATION, max(0.0, self.effective.mean_correlation))

    def _variance(self) -> float:
        if self.given_variance is not None:
            return self.given_variance
        require(
            self.n == 1 or self.n_known >= 2,
            "the variance of the trials' Sharpe ratios is not known",
        )
        return float(np.nanvar(self.sharpe, ddof=1)) if self.n > 1 else 0.0

    def _law(self) -> dict[str, Any]:
        """Return the best trial's shape and the convention, as functions of a ratio take them."""
        at, settings = self._best(), self.settings
        law = {
            "skewness": float(self.trials.skewness[at]),
            "excess_kurtosis": float(self.trials.excess_kurtosis[at]),
            "convention": settings.convention,
        }
        if settings.convention == "2025":
            law["autocorrelation"] = settings.autocorrelation
        return law

    def _ratio(self) -> float:
        return float(self.sharpe[self._best()])

    def _length(self) -> int:
        return int(self.trials.n_observations[self._best()])

    def _against(self) -> float:
        return self.settings.benchmark_sharpe / self.year

    def _hurdle(self) -> str:
        hurdle = self.settings.benchmark_sharpe
        return "that of cash" if hurdle == 0.0 else f"{hurdle:g} a year"

    def sharpe_figures(self) -> dict[str, Figure]:
        """Return the best ratio, what luck gives, and probabilities before and after."""

        def psr() -> float:
            return probabilistic_sharpe_ratio(
                self._ratio(), self._length(), benchmark=self._against(), **self._law()
            )

        def deflated(n: float) -> float:
            return deflated_sharpe_ratio(
                self._ratio(),
                self._length(),
                n_trials=n,
                trial_sharpe_variance=self._variance(),
                **self._law(),
            )

        return {
            "best_sharpe": figure_of(
                lambda: self._ratio() * self.year,
                "ratio per year",
                f"Largest Sharpe ratio of {self.n} trials, as observed."
                if self.chosen is None
                else f"Of the trial that was chosen among {self.n}, as observed.",
            ),
            "n_effective": figure_of(
                self._n_effective,
                "trials",
                "Independent trials that amount to as many: the largest of participation ratio, "
                "entropy rank and clusters of their block returns.",
            ),
            "expected_maximum": figure_of(
                lambda: expected_maximum_sharpe(self.n, self._variance()) * self.year,
                "ratio per year",
                f"What the best of {self.n} independent trials without skill is expected to show.",
            ),
            "probabilistic_sharpe": figure_of(
                psr, "probability", f"That its true ratio exceeds {self._hurdle()}; no search."
            ),
            "deflated_sharpe": figure_of(
                lambda: deflated(self._n_effective()),
                "probability",
                "That it exceeds the expected maximum of the effective number of trials; above "
                "0.95 is not a 5 % test.",
            ),
            "deflated_sharpe_all": figure_of(
                lambda: deflated(float(self.n)),
                "probability",
                f"The same with all {self.n} trials counted as independent.",
            ),
        }

    def adjusted_figures(self) -> dict[str, Figure]:
        """Return p-values adjusted for the number of trials, and how many trials pass."""
        p = self.trials.p_values(self._against())
        known = p[np.isfinite(p)]
        adjusted = holm(known, self.n) if known.size else known

        def best() -> float:
            own = p[self._best()]
            require(bool(np.isfinite(own)), "the variance of its Sharpe ratio is not positive")
            return float(own)

        def of_best() -> float:
            own = best()
            return float(adjusted[np.argmax(known == own)])

        level = 1.0 - self.settings.confidence
        return {
            "p_value": figure_of(
                best, "probability", "One-sided, of the best alone: one less its PSR of 2012."
            ),
            "bonferroni_p_value": figure_of(
                lambda: min(1.0, self.n * best()), "probability", f"The same times {self.n} trials."
            ),
            "holm_p_value": figure_of(
                of_best,
                "probability",
                "Adjusted among the p-values of all trials by Holm's method: the decision.",
            ),
            "n_accepted": Figure(
                float(np.sum(adjusted <= level)),
                "trials",
                f"Trials whose Holm-adjusted p-value is at most {level:g}.",
            ),
        }

    def length_figures(self) -> dict[str, Figure]:
        """Return how long the best must be watched, and how long the backtest ought to be."""

        def track_record() -> float:
            return minimum_track_record_length(
                self._ratio(),
                benchmark=self._against(),
                confidence=self.settings.confidence,
                **self._law(),
            )

        return {
            "minimum_track_record_bars": figure_of(
                track_record,
                "bars",
                f"Returns until {self._hurdle()} is exceeded with {self.settings.confidence:.0%}.",
            ),
            "minimum_track_record_years": figure_of(
                lambda: track_record() / self.periods, "years", "The same in years."
            ),
            "minimum_backtest_years": figure_of(
                lambda: minimum_backtest_length(self.n, self._ratio() * self.year),
                "years",
                f"Below this the best of {self.n} trials without skill shows as large a ratio.",
            ),
        }

    def haircut_figures(self) -> dict[str, Figure]:
        """Return the ratio after each of Harvey and Liu's adjustments."""
        settings = self.settings
        definition = (
            "Annual ratio whose p-value alone is the best's adjusted one (Harvey and Liu 2015, {})."
        )
        cut: Haircut | None = None
        reason = "so many companion tests cannot be drawn"
        try:
            cut = haircut_sharpe_ratio(
                self._ratio() * self.year,
                self._length(),
                periods_per_year=self.periods,
                n_tests=self.n,
                average_correlation=self._correlation(),
                autocorrelation=settings.autocorrelation,
                seed=settings.seed,
            )
        except NotComputedError as refusal:
            reason = str(refusal)

        def sharpe(name: str) -> float:
            adjusted: Adjusted | None = getattr(cut, name, None)
            if adjusted is None:
                raise NotComputedError(reason)
            return adjusted.sharpe

        return {
            f"haircut_sharpe_{name}": figure_of(
                partial(sharpe, name), "ratio per year", definition.format(name)
            )
            for name in ("bonferroni", "holm", "bhy")
        }

    def bootstrap_figures(
        self, returns: ArrayLike | None, blocks: BlockSums | None
    ) -> dict[str, Figure]:
        """Return the p-value of superior predictive ability, of bars or of very many blocks."""

        def family() -> FloatArray:
            if returns is not None:
                return matrix_of(returns, "returns")
            if blocks is None:
                raise NotComputedError("the returns of the trials are not given")
            require(
                blocks.n_blocks >= FEWEST_FOR_BOOTSTRAP
                and not isinstance(blocks.sums, StoredBlocks),
                f"returns per bar are not given, and {blocks.n_blocks} blocks are too few to "
                "resample",
            )
            return np.asarray(blocks.sums).T

        def p_value() -> float:
            matrix = family()
            require(
                matrix.shape[1] >= self.n,
                f"returns of only {matrix.shape[1]} of {self.n} trials are at hand, and the family "
                "must be whole",
            )
            self.superiority = superior_predictive_ability(
                matrix,
                n_resamples=self.settings.n_resamples,
                mean_block=self.settings.mean_block,
                seed=self.settings.seed,
            )
            return self.superiority.p_value

        return {
            "spa_p_value": figure_of(
                p_value,
                "probability",
                "That no trial is better than cash: Hansen's consistent test, studentized, "
                "stationary bootstrap.",
            )
        }

    def overfitting_figures(self, blocks: BlockSums | None) -> dict[str, Figure]:
        """Return the probability of backtest overfitting and what goes with it."""

        def measured() -> Overfitting:
            if self.overfitting is None:
                if blocks is None:
                    raise NotComputedError("the returns of trials by block are not given")
                require(blocks.n_trials > 0, "no trial has a return in every block")
                self.overfitting = blocks.overfitting()
            return self.overfitting

        def slope() -> float:
            found = measured().slope
            if found is None:
                raise NotComputedError("all halves select with the same score")
            return found

        return {
            "pbo": figure_of(
                lambda: measured().probability,
                "probability",
                "Share of halves of the time whose best trial ranks no higher than the median in "
                "the other half.",
            ),
            "probability_of_loss": figure_of(
                lambda: measured().probability_of_loss,
                "probability",
                "Share of halves whose best trial loses money in the other half.",
            ),
            "performance_degradation": figure_of(
                slope,
                "fraction",
                "Slope of the score in the other half on the score that selected.",
            ),
        }
