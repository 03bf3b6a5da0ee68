"""What is left of the best trial of a search: one door for a result page.

Everything is computed from what a sweep keeps of each trial (moments per bar, returns by block),
so that it works for a million trials whose curves are gone. What is not determined says why.
"""

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backtests.validation.checks import FloatArray, StoredBlocks, require_count
from backtests.validation.errors import SettingsError
from backtests.validation.figure import Figure
from backtests.validation.judging import BlockSums, Search
from backtests.validation.overfitting import Overfitting
from backtests.validation.settings import SelectionSettings
from backtests.validation.superiority import SuperiorAbility
from backtests.validation.trials import EffectiveTrials, TrialSummaries

_BINS = 40


@dataclass(frozen=True)
class SelectionReport:
    """The best trial of a search after the search is accounted for.

    Attributes
    ----------
    figures : mapping of str to Figure
        In the order a page shows them.
    best : int or None
        Row of the trial that was judged; None where it has no Sharpe ratio.
    is_accepted : bool or None
        Whether the Holm-adjusted p-value of the best is at most 1 - confidence: the decision. None
        where that p-value is not computed.
    n_trials, n_without_sharpe : int
        Trials counted, and those of the ones summarized that have no Sharpe ratio.
    effective : EffectiveTrials or None
    overfitting : Overfitting or None
    superiority : SuperiorAbility or None
    settings : SelectionSettings
    """

    figures: Mapping[str, Figure]
    best: int | None
    is_accepted: bool | None
    n_trials: int
    n_without_sharpe: int
    effective: EffectiveTrials | None
    overfitting: Overfitting | None
    superiority: SuperiorAbility | None
    settings: SelectionSettings

    def __getitem__(self, name: str) -> Figure:
        return self.figures[name]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it: no arrays, no NaN; logits as a histogram."""
        return {
            "figures": {name: figure.to_dict() for name, figure in self.figures.items()},
            "best": self.best,
            "is_accepted": self.is_accepted,
            "n_trials": self.n_trials,
            "n_without_sharpe": self.n_without_sharpe,
            "effective_trials": None if self.effective is None else asdict(self.effective),
            "logits": None if self.overfitting is None else _histogram(self.overfitting.logits),
            "superiority": None if self.superiority is None else asdict(self.superiority),
            "settings": asdict(self.settings),
        }


def selection_report(
    trials: TrialSummaries,
    *,
    periods_per_year: float,
    chosen: int | None = None,
    n_trials: int | None = None,
    trial_sharpe_variance: float | None = None,
    block_returns: ArrayLike | StoredBlocks | None = None,
    block_squares: ArrayLike | None = None,
    block_bars: ArrayLike | None = None,
    returns: ArrayLike | None = None,
    settings: SelectionSettings | None = None,
) -> SelectionReport:
    """Return everything a result page shows of a search.

    Parameters
    ----------
    trials : TrialSummaries
        Every trial of the search; or its best alone, together with `n_trials` and
        `trial_sharpe_variance`.
    periods_per_year : float
        Bars per year, >= 1.
    chosen : int, optional
        Row of the trial to judge: the one that the search chose, by whatever objective and
        constraints. By default that with the largest Sharpe ratio.
    n_trials : int, optional
        Trials ever made on these bars, at least as many as are summarized; their number when not
        given. Those that are not summarized count as worse than those that are.
    trial_sharpe_variance : float, optional
        Variance of the trials' Sharpe ratios *per bar*, >= 0; that of the summarized trials
        (ddof 1) when not given.
    block_returns : float array, shape (k, n_blocks), or StoredBlocks, optional
        Returns summed by block, of as many trials as kept them. Rows with missing values are left
        out.
    block_squares, block_bars : float arrays, optional
        Squares summed likewise, and bars in each block: with them PBO has the Sharpe ratios of the
        bars instead of those of the blocks.
    returns : float array, shape (n_bars, k), optional
        Returns per bar of all trials, where they are at hand, for the bootstrap.
    settings : SelectionSettings, optional

    Returns
    -------
    SelectionReport

    Raises
    ------
    ShapeError, SampleError, SettingsError
        Arrays or settings that cannot be. What merely is not determined becomes a reason.
    """
    asked = SelectionSettings() if settings is None else settings
    if not 1.0 <= periods_per_year < math.inf:
        raise SettingsError(f"periods_per_year must be at least 1, not {periods_per_year!r}.")
    n = require_count("n_trials", trials.n_trials if n_trials is None else n_trials, 1)
    if n < trials.n_trials:
        raise SettingsError(f"{trials.n_trials} trials are summarized, but only {n} were made.")
    if trial_sharpe_variance is not None and not 0.0 <= trial_sharpe_variance < math.inf:
        raise SettingsError(f"trial_sharpe_variance may not be {trial_sharpe_variance!r}.")
    if chosen is not None and not 0 <= chosen < trials.n_trials:
        raise SettingsError(f"There is no trial {chosen} of {trials.n_trials} to judge.")
    search = Search(trials, n, periods_per_year, trial_sharpe_variance, asked, chosen)
    blocks = None if block_returns is None else BlockSums(block_returns, block_squares, block_bars)
    with ThreadPoolExecutor(max_workers=1) as beside:  # half of the work, and compiled
        overfitting = beside.submit(search.overfitting_figures, blocks)
        search.count_effective(blocks)
        figures = search.sharpe_figures() | search.adjusted_figures() | search.length_figures()
        figures |= search.haircut_figures()
        figures |= search.bootstrap_figures(returns, blocks)
        figures |= overfitting.result()
    decided = figures["holm_p_value"].value
    return SelectionReport(
        figures=MappingProxyType(figures),
        best=search.best,
        is_accepted=None if decided is None else decided <= 1.0 - asked.confidence,
        n_trials=n,
        n_without_sharpe=int(np.isnan(search.sharpe).sum()),
        effective=search.effective,
        overfitting=search.overfitting,
        superiority=search.superiority,
        settings=asked,
    )


def _histogram(logits: FloatArray) -> dict[str, list[float]]:
    counts, edges = np.histogram(logits, bins=_BINS)
    return {"edges": edges.tolist(), "counts": counts.tolist()}
