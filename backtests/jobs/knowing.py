"""What policies of a replay may know when a period begins, and the regimes of its report."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtests import selectors
from backtests.jobs.datasets import open_dataset
from backtests.jobs.market import adjusted_close
from backtests.jobs.pairing import Paired
from backtests.marketdata.alignment import align
from backtests.runspec import ReplaySpec, ReturnsFeatureSpec, SeriesFeatureSpec
from crowetrade_site.core.errors import InvalidInput
from experiments.simulation import contexts_of, momentum, standardized, turbulence, volatility

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
OF_RETURNS = {"momentum": momentum, "volatility": volatility, "turbulence": turbulence}
MOST_VALUES = 4  # of a feature whose values are regimes themselves
UNKNOWN = "not known yet"


@dataclass(frozen=True)
class Known:
    """Features of a replay's periods, each as known when its period begins.

    Attributes
    ----------
    features : dict of str to float64 array, shape (n_periods,)
        NaN where nothing is known yet.
    regimes : int64 array, shape (n_periods,)
        Of each period, by the feature that the report goes by.
    names : list of str
        Of the regimes, by their numbers.
    """

    features: dict[str, FloatArray]
    regimes: IntArray
    names: list[str]

    def contexts(self, wanted: list[str]) -> FloatArray:
        """Return the contexts of a policy that sees some of the features."""
        return contexts_of([self.features[name] for name in wanted], self.regimes.size)


def load_known(section: ReplaySpec, paired: Paired) -> Known | None:
    """Return what is known of the periods of a replay; None where its spec has no features.

    Raises
    ------
    NotFound, InvalidInput
        A dataset is gone or out of use, or a feature is known of no period.
    """
    if not section.features:
        return None
    features = {}
    for name in section.feature_names:
        feature = section.features[name]
        if isinstance(feature, SeriesFeatureSpec):
            features[name] = _of_series(feature, paired)
        else:
            features[name] = _of_returns(feature, paired)
        if bool(np.isnan(features[name]).all()):
            raise InvalidInput.at(
                f"replay.features.{name}",
                f"is known of none of the {paired.ends.size:,} periods: take fewer periods, or a "
                "series that begins earlier and moves.",
            )
    return Known(features, *regimes_of(section.regimes, features[section.regimes]))


def _of_returns(feature: ReturnsFeatureSpec, paired: Paired) -> FloatArray:
    own = paired.returns.mean(axis=1)
    if feature.of:
        own = paired.returns[:, paired.labels.index(feature.of)]
    return OF_RETURNS[feature.kind](own, feature.periods)


def _of_series(feature: SeriesFeatureSpec, paired: Paired) -> FloatArray:
    """Return the last close stamped at or before the beginning of each period."""
    series = selectors.resolve_benchmark(feature.series, "a feature")
    panel = open_dataset(series.dataset, [series.symbol])
    begins = np.concatenate([[paired.begin], paired.ends[:-1]])
    # A target of no bar length: daily series would else meet by day, which may be hours ahead.
    known = align(
        panel.ts, adjusted_close(panel)[:, 0], begins, source_bar_ns=panel.manifest.bar_ns,
        target_bar_ns=0,
    ).values  # fmt: skip
    return standardized(known) if feature.scale == "past" else known


def regimes_of(name: str, feature: FloatArray) -> tuple[IntArray, list[str]]:
    """Return the regime of each period by one feature, and what the regimes are called.

    Its values are regimes where there are up to four, else its thirds over all periods: they are
    for reading afterwards, and no policy sees them. What is not known yet is a regime of its own.
    """
    seen = np.isfinite(feature)
    values = np.unique(feature[seen])
    if values.size <= MOST_VALUES:
        numbers = np.searchsorted(values, feature[seen])
        names = [f"{name} {value:g}" for value in values]
    else:
        numbers = np.searchsorted(np.quantile(feature[seen], [1 / 3, 2 / 3]), feature[seen])
        names = [f"{name} {part}" for part in ("low", "middle", "high")]
    regimes = np.full(feature.size, len(names), dtype=np.int64)
    regimes[seen] = numbers
    return regimes, [*names, UNKNOWN] if not seen.all() else names
