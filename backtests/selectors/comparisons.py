"""Strategies side by side, as the page of a comparison shows them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from backtests.models import Run
from backtests.selectors.figures import label_of, write_figure, write_ratio, write_share
from crowetrade_site.core import drawings
from crowetrade_site.core.drawings import Drawing

FIGURES = ("total_return", "cagr", "annual_volatility", "sharpe", "max_drawdown", "turnover")
MOST_IN_MATRIX = 12  # strategies; a larger square is no longer read
MOST_RANKS = 6
MOST_PAIRS = 200
_SHADES = 9

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """The content of a comparison's page.

    Attributes
    ----------
    strategies : list of dict
        Label, figures and standing of each.
    reason : str
        Why nothing but the figures was computed; empty where more was.
    reference, reference_text : str
        The strategy that the others are held against, and why that one.
    against, pairs : list of dict
        Differences from it, and of every pair, per year and with intervals.
    drawing : Drawing or None
        The differences of Sharpe ratios from the reference.
    tests : list of dict
        Of all strategies together: what was found, what it means, or why it was not computed.
    ranks : list of dict
        How often each strategy has each rank.
    n_ranks : list of int
        The ranks that are shown.
    matrices : list of dict
        Correlation of returns and overlap of positions; empty for very many strategies.
    how : str
        The resampling behind all intervals.
    """

    strategies: Rows
    reason: str
    reference: str
    reference_text: str
    against: Rows
    pairs: Rows
    drawing: Drawing | None
    tests: Rows
    ranks: Rows
    n_ranks: list[int]
    matrices: Rows
    how: str


def get_comparison(run: Run) -> Comparison | None:
    """Return strategies side by side; None of another study."""
    kept = (run.summary.get("study") or {}).get("comparison")
    if not kept:
        return None
    is_judged = "sharpe_differences" in kept
    names, at = kept["names"], kept.get("reference", 0)
    n_ranks = list(range(1, min(len(names), MOST_RANKS) + 1))
    against = _against(kept) if is_judged else []
    return Comparison(
        strategies=_strategies(run, kept),
        reason=kept.get("reason", ""),
        reference=names[at] if is_judged else "",
        reference_text=_reference_text(run, names[at]) if is_judged else "",
        against=against,
        pairs=_pairs(kept) if is_judged and len(names) > 2 else [],
        drawing=_drawing(kept) if is_judged else None,
        tests=_tests(kept) if is_judged else [],
        ranks=_ranks(kept, n_ranks) if is_judged else [],
        n_ranks=n_ranks,
        matrices=_matrices(kept),
        how=_how(run, kept) if is_judged else "",
    )


def _strategies(run: Run, kept: Mapping[str, Any]) -> Rows:
    metrics = run.summary.get("metrics", {})
    front = kept.get("front") or []
    return [
        {
            "name": name,
            "is_on_front": at in front,
            "figures": [
                {
                    "label": label_of(figure),
                    "exact": repr(row.get(figure)),
                    "text": write_figure(
                        figure,
                        {
                            "value": row.get(figure),
                            "unit": metrics.get(figure, {}).get("unit", ""),
                        },
                    ),
                }
                for figure in FIGURES
            ],
        }
        for at, (name, row) in enumerate(zip(kept["names"], kept["figures"], strict=True))
    ]


def _reference_text(run: Run, name: str) -> str:
    if _has_benchmark(run):
        return f"{name}, the benchmark"
    return f"{name}, which has the largest Sharpe ratio: no benchmark is named"


def _has_benchmark(run: Run) -> bool:
    return bool((run.spec.get("comparison") or {}).get("benchmark"))


def _against(kept: Mapping[str, Any]) -> Rows:
    reference = kept["reference"]
    rows = []
    for at, name in enumerate(kept["names"]):
        if at == reference:
            continue
        p, adjusted = kept["sharpe_p_values"][at], kept["holm_p_values"][at]
        rows.append(
            {"name": name, **_difference(kept, at, reference), "p": _write_p(p),
             "holm": _write_p(adjusted), "p_exact": repr(p), "holm_exact": repr(adjusted)}
        )  # fmt: skip
    return rows


def _pairs(kept: Mapping[str, Any]) -> Rows:
    pairs = list(combinations(range(len(kept["names"])), 2))[:MOST_PAIRS]
    names = kept["names"]
    return [{"name": f"{names[i]} less {names[j]}", **_difference(kept, i, j)} for i, j in pairs]


def _difference(kept: Mapping[str, Any], one: int, other: int) -> dict[str, Any]:
    """Return the differences of two strategies a year, each with its interval, as text."""
    mean = _annual(kept, "mean_differences", one, other)
    sharpe = _annual(kept, "sharpe_differences", one, other)
    return {
        "mean": write_share(mean[0]), "mean_exact": repr(mean[0]),
        "mean_interval": f"{write_share(mean[1])} to {write_share(mean[2])}",
        "sharpe": write_ratio(sharpe[0]), "sharpe_exact": repr(sharpe[0]),
        "sharpe_interval": f"{write_ratio(sharpe[1])} to {write_ratio(sharpe[2])}",
        "is_apart": sharpe[1] > 0.0 or sharpe[2] < 0.0,
    }  # fmt: skip


def _annual(kept: Mapping[str, Any], name: str, one: int, other: int) -> tuple[float, float, float]:
    """Return estimate, lower and upper end of one difference a year; per bar if nobody knows."""
    bars = kept.get("periods_per_year") or 1.0
    scale = bars if name == "mean_differences" else math.sqrt(bars)
    table = kept[name]
    estimate, lower, upper = (
        scale * float(table[part][one][other]) for part in ("estimate", "lower", "upper")
    )
    return estimate, lower, upper


def _drawing(kept: Mapping[str, Any]) -> Drawing | None:
    reference = kept["reference"]
    rows = [
        (name, *_annual(kept, "sharpe_differences", at, reference))
        for at, name in enumerate(kept["names"])
        if at != reference
    ]
    name = f"Sharpe ratio less that of {kept['names'][reference]}"
    return drawings.draw_intervals(rows, name=name, write=write_ratio)


def _tests(kept: Mapping[str, Any]) -> Rows:
    """Return what is said of all strategies together."""
    names, reasons = kept["names"], kept.get("reasons") or {}
    reference, size = names[kept["reference"]], 1.0 - kept["confidence"]
    ability, superior = kept.get("superiority"), kept.get("superior")
    alike = kept.get("confidence_set")
    rows = [
        {
            "label": "Superior predictive ability",
            "text": f"p = {_write_p(ability['p_value'])}" if ability else "",
            "reason": reasons.get("superiority", ""),
            "meaning": f"Probability of so large a lead by luck, if no strategy were better than "
            f"{reference} (Hansen 2005, consistent).",
        },
        {
            "label": "StepM",
            "text": _list(names, superior["superior"]) if superior else "",
            "reason": reasons.get("superior", ""),
            "meaning": f"Strategies that are better than {reference}; one or more of them wrongly "
            f"in at most {size:.0%} of all cases (Romano and Wolf 2005).",
        },
        {
            "label": "Model confidence set",
            "text": _list(names, alike["included"]) if alike else "",
            "reason": reasons.get("confidence_set", ""),
            "meaning": f"Among these is the best mean return with {kept['confidence']:.0%} "
            "(Hansen, Lunde and Nason 2011). The longer the list, the less the data tell.",
        },
        {
            "label": "Pareto front",
            "text": _list(names, kept["front"]) if kept.get("front") is not None else "",
            "reason": "not computed, because a strategy lacks one of the figures",
            "meaning": "No other has more growth with no more drawdown, volatility and turnover. "
            "Descriptive: it knows no uncertainty.",
        },
    ]
    return [row | {"reason": "" if row["text"] else row["reason"] or "not computed"}
            for row in rows]  # fmt: skip


def _list(names: Sequence[str], chosen: Sequence[int]) -> str:
    if not chosen:
        return "none"
    if len(chosen) == len(names):
        return f"all {len(names)}"
    return ", ".join(names[at] for at in chosen)


def _ranks(kept: Mapping[str, Any], shown: Sequence[int]) -> Rows:
    order = sorted(range(len(kept["names"])), key=lambda at: kept["mean_rank"][at])
    return [
        {
            "name": kept["names"][at],
            "mean": write_ratio(kept["mean_rank"][at]),
            "cells": [
                _shaded(kept["rank_probabilities"][at][rank - 1], "{:.0%}") for rank in shown
            ],
        }
        for at in order
    ]


def _matrices(kept: Mapping[str, Any]) -> Rows:
    """Return correlation and overlap as squares of shaded cells."""
    names = kept["names"]
    if len(names) > MOST_IN_MATRIX:
        return []
    told = (
        ("correlation", "Correlation of returns", "bar by bar"),
        ("overlap", "Overlap of positions",
         "mean share of the weight that both hold on the same side"),
    )  # fmt: skip
    return [
        {
            "title": title,
            "note": note,
            "names": names,
            "rows": [
                {"name": name, "cells": [_shaded(value, "{:.2f}") for value in row]}
                for name, row in zip(names, kept[key], strict=True)
            ],
        }
        for key, title, note in told
        if kept.get(key)
    ]


def _shaded(value: float | None, form: str) -> dict[str, Any]:
    """Return a value from -1 to 1 with a shade for its cell; a dash where there is none."""
    if value is None:
        return {"text": "–", "shade": 0, "sign": ""}
    shade = min(_SHADES, int(abs(value) * (_SHADES + 1)))
    return {"text": form.format(value), "shade": shade, "sign": "down" if value < 0 else "up"}


def _how(run: Run, kept: Mapping[str, Any]) -> str:
    by, tests = kept["resampling"], "the number of strategies"
    if not _has_benchmark(run):
        tests = f"all pairs, because {kept['names'][kept['reference']]} was chosen by its ratio"
    unit = (
        "a year"
        if kept.get("periods_per_year")
        else "a bar, because the bars of a year are not known"
    )
    return (
        f"Differences are {unit}; intervals hold {kept['confidence']:.0%}, each by itself, by "
        f"{by['n_resamples']:,} resamples of whole bars in blocks of {by['mean_block']:.1f} bars "
        "on average (stationary bootstrap), all strategies drawn together. p-values: equal Sharpe "
        f"ratios, Ledoit and Wolf 2008; Holm: adjusted for {tests}."
    )


def _write_p(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def by_label(run: Run, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return parameters with the label of a compared strategy in place of its whole spec."""
    strategies = (run.spec.get("comparison") or {}).get("strategies") or {}
    labels = [name for name, spec in strategies.items() if spec == parameters.get("strategy")]
    return {**parameters, "strategy": labels[0]} if labels else parameters
