"""The best trials of a study, with their values and parameters as text."""

import json
from collections.abc import Mapping
from typing import Any

from backtests.lifecycle import RUNS
from backtests.models import Run
from backtests.search import SearchError
from backtests.selectors.comparisons import by_label
from backtests.selectors.progress import best_so_far, search_of
from backtests.selectors.specs import trial_text
from backtests.selectors.values import plain, write_parameters, write_value

MOST_COLUMNS = 6  # of parameters in the table of leaders; more of them share one


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


def write_goal(text: str, is_maximized: bool) -> str:
    """Return an objective with the way in which it is better."""
    return f"{text}, {'the higher' if is_maximized else 'the lower'} the better"


def describe_best(
    run: Run, leader: Mapping[str, Any], objective: str, unit: str = ""
) -> dict[str, Any]:
    """Return number, value and parameters of the best; `unit` where the run does not know it."""
    values = leader.get("values") or [None]
    return {
        "number": leader["number"],
        "objective": objective,
        "value": values[0],
        "text": write_value(run, objective, values[0], unit),
        "parameters": leader["parameters"],
        "lines": write_parameters(by_label(run, leader["parameters"])),
    }


def running_best(run: Run, goal: tuple[str, bool]) -> dict[str, Any] | None:
    """Return the best of the chunks that are done, while their study runs."""
    if run.status in RUNS.terminal:
        return None
    found = best_so_far(run, is_maximized=goal[1])
    if found is None:
        return None
    parameters = found["parameters"]
    parameters = json.loads(parameters) if isinstance(parameters, str) else parameters
    leader = {"number": None, "values": [found["value"]], "parameters": parameters}
    return describe_best(run, leader, goal[0], found.get("unit", ""))


def spec_of(run: Run, best: Mapping[str, Any] | None) -> str:
    """Return the spec that runs the best alone; one whose paths have moved cannot be told."""
    if best is None:
        return ""
    try:
        return trial_text(run, best["parameters"])
    except SearchError:
        return ""


def columns_of(leaders: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the searched paths with the shortest ends that tell them apart."""
    paths = list(dict.fromkeys(path for one in leaders for path in one["parameters"]))
    if len(paths) > MOST_COLUMNS:
        return []
    ends = [path.rsplit(".", 1)[-1] for path in paths]
    return [
        {"path": path, "name": end if ends.count(end) == 1 else path}
        for path, end in zip(paths, ends, strict=True)
    ]


def row_of(
    run: Run, rank: int, leader: Mapping[str, Any], goals: list[tuple[str, bool]],
    columns: list[dict[str, str]],
) -> dict[str, Any]:  # fmt: skip
    """Return one row of the table of leaders."""
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
