"""What a person sees of a study: its best with how many trials it is the best of.

Read from the run's summary and a few counting queries over its chunks, never from the table of
trials, so that the page of a million trials opens as quickly as that of ten.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backtests.lifecycle import RUNS, ChunkStatus, RunKind
from backtests.models import Run
from backtests.search import SearchError
from backtests.selectors import drawings, selection
from backtests.selectors.comparisons import by_label, list_compared
from backtests.selectors.drawings import Drawing
from backtests.selectors.figures import write_time
from backtests.selectors.folds import Walk, get_walk, list_paths
from backtests.selectors.progress import (
    DAY_SECONDS,
    Progress,
    best_so_far,
    get_progress,
    is_study,
    kind_of,
    search_of,
)
from backtests.selectors.specs import trial_text
from backtests.selectors.values import plain, write_parameters, write_value

MOST_COLUMNS = 6  # of parameters in the table of leaders; more of them share one
MOST_GIVEN_UP = 20


@dataclass(frozen=True)
class Study:
    """The content of a study's page and report.

    Attributes
    ----------
    claim : str
        "best of 4,186 trials": stands wherever a figure of the best does; empty if there is none.
    sheet_title, sheet_claim : str
        The same of the account below: the best trial, or what a walk-forward did out of sample.
    headline, ledger : str
        The same as a sentence, and how many trials were ever made.
    objectives : list of str
        As the spec states them, the one that ranks first.
    columns : list of dict
        Of the searched parameters, with a short name; empty where they are too many for columns.
    leaders : list of dict
        Rank, number, values and parameters, as text.
    """

    run: Run
    progress: Progress
    claim: str
    sheet_title: str
    sheet_claim: str
    headline: str
    ledger: str
    objectives: list[str]
    is_maximized: bool
    best: dict[str, Any] | None
    best_spec: str
    columns: list[dict[str, str]]
    leaders: list[dict[str, Any]]
    surface: Drawing | None
    surface_note: str
    distribution: Drawing | None
    reasons: list[dict[str, Any]]
    given_up: list[dict[str, Any]]
    n_given_up: int
    statistics: list[dict[str, Any]]
    verdict: str
    walk: Walk | None
    paths: list[dict[str, Any]]
    compared: list[dict[str, Any]]
    effort: str

    @property
    def best_so_far(self) -> str:
        """What stands beside the best while the study runs."""
        return f"best of {_trials(self.progress.n_done)} so far"

    @property
    def shown_claim(self) -> str:
        """What stands beside the best, over or not; empty where there is none."""
        return self.claim or (self.best_so_far if self.best else "")


def get_study(run: Run) -> Study | None:
    """Return what there is to see of a study, over or not; None for a single backtest."""
    if not is_study(run):
        return None
    kept: Mapping[str, Any] = run.summary.get("study") or {}
    progress = get_progress(run)
    goals = objectives_of(run)
    is_maximized = bool(kept.get("is_maximized", goals[0][1]))
    leaders = kept.get("leaders") or []
    best = leaders[0] if leaders else None
    n_given_up = progress.chunks[ChunkStatus.QUARANTINED]
    judged = kept.get("selection") or {}
    columns = _paths(leaders)
    return Study(
        run=run,
        progress=progress,
        claim=_best_of(kept),
        sheet_title=_sheet_title(run, best),
        sheet_claim=claim_of(run),
        headline=_headline(kept, best),
        ledger=_ledger(kept),
        objectives=[_goal_text(text, direction) for text, direction in goals],
        is_maximized=is_maximized,
        best=_best(run, best, goals[0][0]) if best else _running_best(run, goals[0]),
        best_spec=_spec_of(run, best),
        columns=columns,
        leaders=[
            _leader(run, at, leader, goals, columns) for at, leader in enumerate(leaders, start=1)
        ],
        surface=_surface(run, kept, best),
        surface_note=_surface_note(run, kept),
        distribution=_distribution(run, kept, best, judged),
        reasons=_reasons(kept),
        given_up=_given_up(run) if n_given_up else [],
        n_given_up=n_given_up,
        statistics=selection.list_statistics(judged),
        verdict=selection.verdict_of(judged),
        walk=get_walk(run, goals[0][0]),
        paths=list_paths(run),
        compared=list_compared(run),
        effort=_effort(run, progress),
    )


def claim_of(run: Run) -> str:
    """Return what stands beside a figure of what a study shows, such as ``best of 12 trials``.

    What a walk-forward shows is out of sample; still it says among how many each fold chose.
    """
    kept = run.summary.get("study") or {}
    if _is_out_of_sample(run):
        return f"out of sample, chosen among {_trials(kept['n_trials'])}"
    return _best_of(kept)


def _best_of(kept: Mapping[str, Any]) -> str:
    is_known = bool(kept.get("leaders")) and "n_trials" in kept
    return f"best of {_trials(kept['n_trials'])}" if is_known else ""


def _is_out_of_sample(run: Run) -> bool:
    """Whether the account that is shown follows the choices of the folds."""
    kept = run.summary.get("study") or {}
    return kind_of(run) == RunKind.WALK_FORWARD and bool(kept.get("walk")) and "n_trials" in kept


def _sheet_title(run: Run, best: Mapping[str, Any] | None) -> str:
    if _is_out_of_sample(run):
        return "Account of the choices of all folds"
    return f"Tear sheet of trial {best['number']}" if best else ""


def objectives_of(run: Run) -> list[tuple[str, bool]]:
    """Return the objectives of a study and whether each is maximized, as its spec states them."""
    stated = search_of(run).get("objective", "sharpe")
    goals = []
    for goal in stated if isinstance(stated, list) else [stated]:
        if isinstance(goal, str):
            goals.append((goal, True))
        else:
            is_maximized = goal.get("maximize") is not None
            goals.append((goal["maximize"] if is_maximized else goal["minimize"], is_maximized))
    return goals


def _trials(n: int) -> str:
    return f"{n:,} trial{'' if n == 1 else 's'}"


def _headline(kept: Mapping[str, Any], best: Mapping[str, Any] | None) -> str:
    if "n_trials" not in kept:
        return ""
    if best is None:
        return f"None of {_trials(kept['n_trials'])} is feasible"
    return f"Best of {_trials(kept['n_trials'])} ({kept.get('n_infeasible', 0):,} infeasible)"


def _ledger(kept: Mapping[str, Any]) -> str:
    counted = kept.get("ledger")
    if not counted:
        return ""
    n = counted["n_on_this_data"]
    verb = "was" if n == 1 else "were"
    return (
        f"{_trials(n)} {verb} ever made on this data, "
        f"{counted['n_of_this_family']:,} of this strategy family"
    )


def _goal_text(text: str, is_maximized: bool) -> str:
    return f"{text}, {'the higher' if is_maximized else 'the lower'} the better"


def _best(run: Run, leader: Mapping[str, Any], objective: str) -> dict[str, Any]:
    values = leader.get("values") or [None]
    return {
        "number": leader["number"],
        "objective": objective,
        "value": values[0],
        "text": write_value(run, objective, values[0]),
        "parameters": leader["parameters"],
        "lines": write_parameters(by_label(run, leader["parameters"])),
    }


def _running_best(run: Run, goal: tuple[str, bool]) -> dict[str, Any] | None:
    """Return the best of the chunks that are done, while their study runs."""
    if run.status in RUNS.terminal:
        return None
    found = best_so_far(run, is_maximized=goal[1])
    if found is None:
        return None
    parameters = found["parameters"]
    parameters = json.loads(parameters) if isinstance(parameters, str) else parameters
    leader = {"number": None, "values": [found["value"]], "parameters": parameters}
    return _best(run, leader, goal[0])


def _spec_of(run: Run, best: Mapping[str, Any] | None) -> str:
    """Return the spec that runs the best alone; one whose paths have moved cannot be told."""
    if best is None:
        return ""
    try:
        return trial_text(run, best["parameters"])
    except SearchError:
        return ""


def _paths(leaders: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the searched paths with the shortest ends that tell them apart."""
    paths = list(dict.fromkeys(path for one in leaders for path in one["parameters"]))
    if len(paths) > MOST_COLUMNS:
        return []
    ends = [path.rsplit(".", 1)[-1] for path in paths]
    return [
        {"path": path, "name": end if ends.count(end) == 1 else path}
        for path, end in zip(paths, ends, strict=True)
    ]


def _leader(
    run: Run, rank: int, leader: Mapping[str, Any], goals: list[tuple[str, bool]],
    columns: list[dict[str, str]],
) -> dict[str, Any]:  # fmt: skip
    parameters = by_label(run, leader["parameters"])
    values = zip(goals, leader.get("values") or [], strict=False)
    return {
        "rank": rank,
        "number": leader["number"],
        "values": [
            {"exact": repr(value), "text": write_value(run, text, value)}
            for (text, _), value in values
        ],
        "cells": [
            plain(parameters[column["path"]]) if column["path"] in parameters else "–"
            for column in columns
        ],
        "lines": write_parameters(parameters),
    }


def _surface(run: Run, kept: Mapping[str, Any], best: Mapping[str, Any] | None) -> Drawing | None:
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


def _surface_note(run: Run, kept: Mapping[str, Any]) -> str:
    """Return what is averaged in a cell of the surface, if anything is."""
    surface = kept.get("surface")
    over = search_of(run).get("over") or {}
    others = [path for path in over if surface and path not in surface["paths"]]
    if not others:
        return ""
    return f"Each cell is a mean over {', '.join(others)}."


def _distribution(
    run: Run, kept: Mapping[str, Any], best: Mapping[str, Any] | None, judged: Mapping[str, Any]
) -> Drawing | None:
    distribution = kept.get("distribution")
    if not distribution:
        return None
    objective = kept["objective"]
    by_luck = selection.value_of(judged, "expected_maximum") if objective == "sharpe" else None
    return drawings.draw_distribution(
        distribution, best["values"][0] if best else None, objective=objective,
        write=lambda value: write_value(run, objective, value), by_luck=by_luck,
    )  # fmt: skip


def _reasons(kept: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return why trials are infeasible, the reasons that are not kept in one row."""
    rows = [(row["reason"], row["n_trials"]) for row in kept.get("reasons") or []]
    n_others = kept.get("n_infeasible", 0) - sum(n for _, n in rows)
    rows += [("Other reasons", n_others)] if n_others > 0 else []
    return [{"reason": reason, "n_trials": n, "text": f"{n:,}"} for reason, n in rows]


def _given_up(run: Run) -> list[dict[str, Any]]:
    lost = run.chunks.filter(status=ChunkStatus.QUARANTINED).order_by("first")
    return [
        {
            "trials": str(chunk),
            "attempt": chunk.attempt,
            "worker": chunk.worker,
            "title": (chunk.problem or {}).get("title", ""),
            "detail": (chunk.problem or {}).get("detail", ""),
        }
        for chunk in lost.defer("parameters", "summary")[:MOST_GIVEN_UP]
    ]


def _effort(run: Run, progress: Progress) -> str:
    """Return what the study took."""
    if run.status not in RUNS.terminal or not progress.n_done:
        return ""
    said = f"{_trials(progress.n_done)} in {_time(progress.elapsed_seconds)}"
    if progress.n_reused:
        said += f", {progress.n_reused:,} of them taken over from earlier studies"
    if progress.busy_seconds:
        said += f"; {_time(progress.busy_seconds)} of workers' time"
    if progress.rate:
        said += f", {progress.pace_text}"
    return f"{said}."


def _time(seconds: float) -> str:
    return write_time(seconds / DAY_SECONDS)
