"""Whether the folds that a study asks for fit into its data, looked at before it is queued."""

import math

import numpy as np
from numpy.typing import NDArray

from backtests import selectors
from backtests.jobs.folds import folds_of
from backtests.marketdata.arrays import load_mapped
from backtests.models import Dataset
from backtests.runspec import RunSpec
from backtests.runspec.study import CrossValidationSpec, WalkForwardSpec
from backtests.validation import StatisticsError, days_of
from crowetrade_site.core import storage
from crowetrade_site.core.errors import Corrupted, InvalidInput, NotFound, Unavailable

MOST_BYTES = 64 << 20  # of stamps that a request reads: 8 million
MOST_SPLITS = 20_000  # that a request makes; a worker makes more


def check_folds(spec: RunSpec, dataset: Dataset) -> None:
    """Refuse windows or groups that the bars of a dataset have no room for.

    Of chosen instruments the bars of all are counted, which may be more; where the store does not
    answer, nothing is. What is left a worker refuses.

    Raises
    ------
    InvalidInput
        There are too few days or bars; it says how many, and how many are asked for (422).
    """
    if spec.walk_forward is None and spec.cross_validation is None:
        return
    ts = _stamps(spec, dataset)
    if ts is None:
        return
    if spec.walk_forward is not None:
        _check_walk(spec.walk_forward, np.unique(days_of(ts)).size, _named(spec, dataset))
    if spec.cross_validation is not None:
        _check_groups(spec.cross_validation, spec, ts, _named(spec, dataset))


def _check_walk(asked: WalkForwardSpec, n_days: int, name: str) -> None:
    gap = asked.purge_days + asked.embargo_days
    n_asked = asked.train_days + gap + asked.test_days
    if n_asked > n_days:
        between = f", {gap:,} between them" if gap else ""
        raise InvalidInput(
            f"walk_forward: {asked.train_days:,} days to train{between} and {asked.test_days:,} to "
            f"test are {n_asked:,}, but {name} has {n_days:,} days with a bar; shorten them, or "
            "take more data.",
            errors=[{"path": "walk_forward", "message": f"{n_asked} days asked, {n_days} there"}],
        )


def _check_groups(
    asked: CrossValidationSpec, spec: RunSpec, ts: NDArray[np.int64], name: str
) -> None:
    if ts.size < asked.n_groups:
        raise InvalidInput(
            f"cross_validation: {asked.n_groups} groups need as many bars, but {name} has "
            f"{ts.size:,}; take fewer groups, or more data.",
            errors=[{"path": "cross_validation.n_groups", "message": f"{ts.size} bars there"}],
        )
    if math.comb(asked.n_groups, asked.n_test_groups) > MOST_SPLITS:
        return
    try:
        folds_of(spec, ts)
    except StatisticsError as error:
        n_days = np.unique(days_of(ts)).size
        raise InvalidInput(
            f"cross_validation: {str(error).removesuffix('.')}: {asked.n_groups} groups are asked, "
            f"{asked.n_test_groups} of them to test, with {asked.purge_days:,} days purged and "
            f"{asked.embargo_days:,} embargoed; {name} has {ts.size:,} bars on {n_days:,} days.",
            errors=[{"path": "cross_validation", "message": str(error)}],
        ) from error


def _named(spec: RunSpec, dataset: Dataset) -> str:
    first = "" if spec.start is None else f" from {spec.start}"
    return f"{dataset}{first}{'' if spec.end is None else f' to {spec.end}'}"


def _stamps(spec: RunSpec, dataset: Dataset) -> NDArray[np.int64] | None:
    """Return the stamps of a dataset within a spec's dates; None where nobody can tell here."""
    stored = dataset.manifest.get("content", {}).get("fields", {}).get("ts")
    if stored is None or stored["bytes"] > MOST_BYTES:
        return None
    try:
        ts = np.unique(load_mapped(storage.locate(stored["sha256"])))
    except (NotFound, Corrupted, Unavailable):
        return None
    start, end = selectors.window(spec)
    first = 0 if start is None else int(np.searchsorted(ts, start))
    last = ts.size if end is None else int(np.searchsorted(ts, end, side="right"))
    return ts[first:last]
