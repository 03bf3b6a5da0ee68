"""What a study with folds did out of sample: the first thing its page says."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from backtests.models import Run
from backtests.selectors import claims, verdicts
from backtests.selectors.figures import write_count, write_figure, write_ratio, write_share
from backtests.selectors.verdicts import Verdict


@dataclass(frozen=True)
class Outside:
    """The result out of sample.

    Attributes
    ----------
    how : str
        Where it comes from, in a sentence.
    figures : list of dict
        Label, text and meaning of each, the one that counts most first.
    values : dict
        The same for programs; null where a figure was not computed.
    verdicts : list of Verdict
        Over cash and over the benchmark, of a walk-forward's one account.
    """

    how: str
    figures: list[dict[str, str]]
    values: dict[str, float | None]
    verdicts: list[Verdict]


def get_outside(run: Run) -> Outside | None:
    """Return what a study did out of sample; None where it has no folds, or none chose."""
    kept = run.summary.get("study") or {}
    if not kept.get("walk"):
        return None
    if kept.get("paths"):
        return _of_paths(kept)
    return _of_account(run, kept) if claims.is_out_of_sample(run) else None


def get_headline(run: Run, name: str) -> tuple[str, str]:
    """Return a figure of a run for a list, out of sample where there is such, and its claim.

    Of a cross-validation that is the median of its paths.
    """
    metric = run.summary.get("metrics", {}).get(name) or {}
    unit = metric.get("unit", "")
    paths = (run.summary.get("study") or {}).get("paths")
    if not paths:
        known = metric.get("value") is not None
        text = write_figure(name, {"value": metric.get("value"), "unit": unit})
        return text, claims.claim_of(run) if known else ""
    value = _quantile(_known(paths, name), 0.5)
    if value is None:
        return "–", ""
    n = len(paths)
    claim = f"out of sample, median of {n:,} path{'' if n == 1 else 's'}"
    return write_figure(name, {"value": value, "unit": unit}), claim


def _of_account(run: Run, kept: Mapping[str, Any]) -> Outside:
    """Return the one account that follows the choices of a walk-forward's folds."""
    metrics, walk = run.summary.get("metrics", {}), kept["walk"]
    n_folds = len(walk["folds"])
    names = ("sharpe", "cagr", "max_drawdown")
    values = {name: metrics.get(name, {}).get("value") for name in names}
    values |= {"efficiency": walk["efficiency"], "n_folds": n_folds}
    meanings = {name: metrics.get(name, {}).get("definition", "") for name in names}
    objective = kept.get("objective", "objective")
    figures = [
        _figure("Sharpe ratio", values["sharpe"], write_ratio, meanings["sharpe"]),
        _figure("CAGR", values["cagr"], write_share, meanings["cagr"]),
        _figure("Max drawdown", values["max_drawdown"], write_share, meanings["max_drawdown"]),
        _figure(
            "Walk-forward efficiency", values["efficiency"], write_share,
            f"Mean {objective} in the tests over that in the trainings; none where less is better.",
        ),
        _figure("Folds", n_folds, write_count, "Windows whose choice was tried on the next."),
    ]  # fmt: skip
    trials = claims.write_trials(kept["n_trials"])
    how = f"one account through the tests of all folds, chosen among {trials}"
    return Outside(how, figures, values, verdicts.of_outside(kept))


def _of_paths(kept: Mapping[str, Any]) -> Outside:
    """Return how the paths of a cross-validation are spread."""
    paths = kept["paths"]
    sharpe, total = _known(paths, "sharpe"), _known(paths, "total_return")
    ends = [_quantile(sharpe, share) for share in (0.05, 0.95)]
    n_lost = sum(value < 0.0 for value in total)
    values = {
        "sharpe_median": _quantile(sharpe, 0.5),
        "sharpe_5_percent": ends[0],
        "sharpe_95_percent": ends[1],
        "loss_share": n_lost / len(total) if total else None,
        "n_paths": len(paths),
        "n_folds": len(kept["walk"]["folds"]),
    }
    spread = (
        "–" if None in ends else " to ".join(write_ratio(end) for end in ends if end is not None)
    )
    figures = [
        _figure(
            "Sharpe ratio, median", values["sharpe_median"], write_ratio,
            f"Of the {len(sharpe):,} paths that have one.",
        ),
        {"label": "Sharpe ratio, 5 % to 95 %", "text": spread,
         "meaning": "Quantiles of the paths, straight lines between them."},
        _figure(
            "Paths with a loss", values["loss_share"], write_share,
            f"{n_lost:,} of {len(total):,} end below where they began.",
        ),
        _figure("Paths", len(paths), write_count, "Each runs through all tests once."),
        _figure("Folds", values["n_folds"], write_count, "Choices of groups that were the test."),
    ]  # fmt: skip
    n = len(paths)
    trials = claims.write_trials(kept["n_trials"])
    how = f"{n:,} path{'' if n == 1 else 's'} through the tests of all folds, chosen among {trials}"
    return Outside(how, figures, values, [])


def _figure(label: str, value: float | None, write: Any, meaning: str) -> dict[str, str]:
    return {"label": label, "text": "–" if value is None else write(value), "meaning": meaning}


def _known(paths: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return sorted(path[name] for path in paths if path.get(name) is not None)


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return a quantile of ascending values, interpolated; None of none."""
    if not ordered:
        return None
    if share == 0.5:
        return float(median(ordered))
    place = share * (len(ordered) - 1)
    low, high = math.floor(place), math.ceil(place)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))
