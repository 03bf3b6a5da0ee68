"""The finished runs that a replay takes as arms: found, checked, pinned by the digest of each."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from backtests.lifecycle import RunStatus
from backtests.models import Run
from backtests.runspec import OF_CONTROL, ReplaySpec, RunSpec, SeriesFeatureSpec
from backtests.selectors.datasets import resolve_benchmark
from backtests.selectors.runs import find_run, get_run, require_artifacts
from crowetrade_site.core.errors import Conflict, InvalidInput

CURVES = "curves.parquet"
FEWEST_BARS = 30  # that all runs have in common


def complete_replay(spec: RunSpec) -> RunSpec:
    """Return a replay's spec with what its runs say: market, strategy, currency and digests.

    Any other spec comes back as it is.

    Raises
    ------
    NotFound
        There is no such run, or no such dataset of a feature (404).
    Conflict
        One has not succeeded, or has another result than the spec pins (409).
    Gone
        The files of one were removed (410).
    InvalidInput
        One has no returns, two are the same, currencies differ, their time does not overlap, or
        the spec names a market of its own (422).
    """
    if spec.replay is None:
        return spec
    runs = find_arms(spec.replay)
    control = runs[spec.replay.control]
    _require_one_currency(runs)
    _require_overlap(runs)
    taken = {
        "dataset": f"{control.dataset.name}@sha256:{control.dataset.digest}",
        "strategy": control.spec["strategy"],
        "currency": control.spec["currency"],
    }
    for name, value in taken.items():
        given = getattr(spec, name)
        if name in spec.model_fields_set and given not in (OF_CONTROL, value):
            raise InvalidInput(
                f"{name} is that of the control's run; leave it out of a replay.",
                errors=[{"path": name, "message": "not the control's"}],
            )
    pinned = {label: f"{run.public_id}@sha256:{run.result_digest}" for label, run in runs.items()}
    section = spec.replay.model_copy(
        update={"runs": pinned, "features": _pinned_features(spec.replay)}
    )
    return spec.model_copy(update={**taken, "replay": section})


def _pinned_features(section: ReplaySpec) -> dict[str, Any]:
    """Return the features of a replay, series with the digest of their dataset."""
    pinned: dict[str, Any] = {}
    for name, feature in section.features.items():
        pinned[name] = feature
        if isinstance(feature, SeriesFeatureSpec):
            series = resolve_benchmark(feature.series, "a feature")
            pinned[name] = feature.model_copy(update={"series": series.reference})
    return pinned


def find_arms(section: ReplaySpec) -> dict[str, Run]:
    """Return the runs of a replay by label, the control first.

    Raises
    ------
    NotFound, Conflict, Gone, InvalidInput
        As `complete_replay`.
    """
    runs: dict[str, Run] = {}
    for label in section.labels:
        start, _, pin = section.runs[label].partition("@sha256:")
        run = get_run(UUID(start)) if len(start) == 36 else find_run(start)
        _require_returns(label, run)
        if pin and pin != run.result_digest:
            raise Conflict(
                f"replay.runs.{label}: run {run.public_id} has the result "
                f"{run.result_digest[:12]}…, the spec pins {pin[:12]}…."
            )
        same = next((other for other, one in runs.items() if one.pk == run.pk), None)
        if same is not None:
            raise InvalidInput.at("replay.runs", f"{same!r} and {label!r} are the same run.")
        runs[label] = run
    return runs


def _require_returns(label: str, run: Run) -> None:
    if run.status != RunStatus.SUCCEEDED:
        raise Conflict(
            f"replay.runs.{label}: run {run.public_id} is {run.status}; only one that succeeded "
            "has returns to replay."
        )
    require_artifacts(run)
    if CURVES not in run.artifacts:
        raise InvalidInput(
            f"replay.runs.{label}: run {run.public_id} has no account, so no returns: take a "
            "backtest, or a study that shows one."
        )


def _require_one_currency(runs: Mapping[str, Run]) -> None:
    first, *others = ((label, run.spec["currency"]) for label, run in runs.items())
    for label, currency in others:
        if currency != first[1]:
            raise InvalidInput(
                f"replay.runs: {first[0]} is in {first[1]}, {label} in {currency}; amounts are "
                "not converted."
            )


def _require_overlap(runs: Mapping[str, Run]) -> None:
    """Refuse what the rows already show to have too little in common; a worker counts the bars."""
    shortest = min(runs, key=lambda label: _n_bars(runs[label]))
    if _n_bars(runs[shortest]) < FEWEST_BARS:
        raise too_few(_n_bars(runs[shortest]), f"{shortest} alone")
    begins, ends = _last_of(runs, "first_at", max), _last_of(runs, "last_at", min)
    if begins > ends:
        raise InvalidInput(
            f"replay.runs: a run begins on {begins[:10]}, when another is over since {ends[:10]}: "
            "they have no bar in common."
        )


def too_few(n_bars: int, whose: str) -> InvalidInput:
    """Return the refusal of too short a history."""
    return InvalidInput(
        f"replay.runs: {whose} has {n_bars} bars, and a replay needs {FEWEST_BARS} in common."
    )


def _n_bars(run: Run) -> int:
    return int(run.summary.get("n_bars", 0))


def _last_of(runs: Mapping[str, Run], name: str, choose: Any) -> str:
    stamps: Sequence[str] = [str(run.summary[name]) for run in runs.values()]
    return str(choose(stamps))
