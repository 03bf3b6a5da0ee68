"""The folds of a walk-forward or a cross-validation: what each chose, and how that did outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backtests.models import Run
from backtests.selectors import pictures
from backtests.selectors.figures import label_of, write_figure
from backtests.selectors.values import write_parameters, write_value
from crowetrade_site.core.drawings import Drawing

PATH_FIGURES = ("total_return", "cagr", "annual_volatility", "sharpe", "max_drawdown")


@dataclass(frozen=True)
class Walk:
    """The choices of all folds, as text.

    Attributes
    ----------
    folds : list of dict
        Train and test days, chosen parameters, the objective on either side, and the share of all
        trials that did no better in the test.
    summary : str
        What was kept outside, in a sentence or two.
    timeline, degradation, choices : Drawing or None
        When each fold trained and was tested; its objective on either side; what it chose.
    """

    folds: list[dict[str, Any]]
    summary: str
    timeline: Drawing | None
    degradation: Drawing | None
    choices: Drawing | None


@dataclass(frozen=True)
class Paths:
    """The paths of a cross-validation.

    Attributes
    ----------
    rows : list of dict
        Number and figures of each.
    drawing : Drawing or None
        Their spread, beside the figure in sample.
    """

    rows: list[dict[str, Any]]
    drawing: Drawing | None


def get_walk(run: Run, objective: str) -> Walk | None:
    """Return the folds of a study; None where it has none."""
    kept = (run.summary.get("study") or {}).get("walk")
    if not kept:
        return None
    return Walk(
        folds=[_fold(run, fold, objective) for fold in kept["folds"]],
        summary=_summary(run, kept, objective),
        timeline=pictures.draw_timeline(kept),
        degradation=pictures.draw_degradation(run, kept, objective),
        choices=pictures.draw_choices(run, kept),
    )


def _fold(run: Run, fold: Mapping[str, Any], objective: str) -> dict[str, Any]:
    rank = fold["rank"]
    return {
        "train": _days(fold["train"]),
        "test": _days(fold["test"]),
        "lines": write_parameters(fold["parameters"]),
        "train_text": write_value(run, objective, fold["train_value"]),
        "test_text": write_value(run, objective, fold["test_value"]),
        "rank_text": "–" if rank is None else f"better than {rank * 100:.0f} % of the trials",
    }


def _days(stretches: Sequence[Sequence[str]]) -> list[str]:
    return [f"{first} to {last}" for first, last in stretches]


def _summary(run: Run, kept: Mapping[str, Any], objective: str) -> str:
    n_folds, n_distinct = len(kept["folds"]), kept["n_distinct"]
    said = (
        f"Mean {objective} {write_value(run, objective, kept['mean_train'])} where it was chosen, "
        f"{write_value(run, objective, kept['mean_test'])} outside"
    )
    if kept["efficiency"] is not None:
        said += f": {kept['efficiency']:.0%} was kept"
    elif not (run.summary.get("study") or {}).get("is_maximized", True):
        said += ", where less is better"
    said += f". {n_folds:,} folds chose {n_distinct:,} different parameter sets."
    if kept.get("is_apart"):
        said += (
            f" Each fold searched by itself, at most {kept['n_per_fold']:,} trials, told by its "
            "training alone."
        )
    n_untested = kept.get("n_without_test", 0)
    if n_untested and kept["mean_test"] is not None:
        said += f" {n_untested:,} without a figure outside are in neither mean."
    n_empty = kept["n_without_choice"]
    if n_empty:
        said += f" {n_empty:,} more had nothing to choose from."
    return said


def get_paths(run: Run, objective: str) -> Paths | None:
    """Return the paths of a cross-validation; None of another study."""
    kept = (run.summary.get("study") or {}).get("paths")
    if not kept:
        return None
    metrics = run.summary.get("metrics", {})
    rows = [
        {
            "number": number,
            "figures": [
                {
                    "label": label_of(name),
                    "exact": repr(value),
                    "text": write_figure(
                        name, {"value": value, "unit": metrics.get(name, {}).get("unit", "")}
                    ),
                }
                for name, value in sorted(path.items(), key=_place)
            ],
        }
        for number, path in enumerate(kept, start=1)
    ]
    return Paths(rows, pictures.draw_paths(run, kept, objective))


def _place(figure: tuple[str, Any]) -> int:
    """Return where a figure stands in a row: the database keeps no order."""
    return PATH_FIGURES.index(figure[0]) if figure[0] in PATH_FIGURES else len(PATH_FIGURES)
