"""The drawings of a study, from what its summary keeps."""

from collections.abc import Mapping, Sequence
from typing import Any

from backtests.models import Run
from backtests.selectors import drawings, selection
from backtests.selectors.figures import label_of
from backtests.selectors.progress import search_of
from backtests.selectors.values import write_value
from crowetrade_site.core.drawings import Drawing


def draw_surface(
    run: Run, kept: Mapping[str, Any], best: Mapping[str, Any] | None
) -> Drawing | None:
    """Return the surface of the objective; None without two searched numbers."""
    surface = kept.get("surface")
    if not surface:
        return None
    found = best["parameters"] if best else {}
    place = [found.get(path) for path in surface["paths"]]
    return drawings.draw_surface(
        surface, None if None in place else place, objective=kept["objective"],
        write=lambda value: write_value(run, kept["objective"], value),
        is_maximized=kept.get("is_maximized", True),
    )  # fmt: skip


def note_of_surface(run: Run, kept: Mapping[str, Any]) -> str:
    """Return what is averaged in a cell of the surface, if anything is."""
    surface = kept.get("surface")
    over = search_of(run).get("over") or {}
    others = [path for path in over if surface and path not in surface["paths"]]
    if not others:
        return ""
    return f"Each cell is a mean over {', '.join(others)}."


def draw_distribution(
    run: Run, kept: Mapping[str, Any], best: Mapping[str, Any] | None, judged: Mapping[str, Any]
) -> Drawing | None:
    """Return the distribution of the objective; None where all trials have the same."""
    distribution = kept.get("distribution")
    if not distribution:
        return None
    objective = kept["objective"]
    by_luck = selection.value_of(judged, "expected_maximum") if objective == "sharpe" else None
    return drawings.draw_distribution(
        distribution, best["values"][0] if best else None, objective=objective,
        write=lambda value: write_value(run, objective, value), by_luck=by_luck,
    )  # fmt: skip


def draw_timeline(walk: Mapping[str, Any]) -> Drawing | None:
    """Return when each fold trained and was tested."""
    return drawings.draw_timeline(walk["folds"]) if walk["folds"] else None


def draw_degradation(run: Run, walk: Mapping[str, Any], objective: str) -> Drawing | None:
    """Return what the choices of the folds had in training and in test."""
    return drawings.draw_degradation(
        walk["folds"], objective=objective, write=lambda value: write_value(run, objective, value)
    )


def draw_choices(run: Run, walk: Mapping[str, Any]) -> Drawing | None:
    """Return which parameters the folds chose; None where all chose the same."""
    return drawings.draw_choices(walk["folds"], search_of(run).get("over") or {})


def draw_paths(run: Run, paths: Sequence[Mapping[str, Any]], objective: str) -> Drawing | None:
    """Return the spread of the paths: of the objective, or of the Sharpe ratio if it is another."""
    if not paths:
        return None
    name = objective if objective in paths[0] else "sharpe"
    values = [path[name] for path in paths if path.get(name) is not None]
    in_sample = run.summary.get("metrics", {}).get(name, {}).get("value")
    return drawings.draw_paths(
        values, in_sample, name=label_of(name), write=lambda value: write_value(run, name, value)
    )
