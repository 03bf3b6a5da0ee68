"""Strategies side by side, as the page of a comparison shows them."""

from collections.abc import Mapping
from typing import Any

from backtests.models import Run
from backtests.selectors.figures import label_of, write_figure

FIGURES = ("total_return", "cagr", "annual_volatility", "sharpe", "max_drawdown", "turnover")


def list_compared(run: Run) -> list[dict[str, Any]]:
    """Return label, figures and standing of each strategy; none of another study."""
    kept = (run.summary.get("study") or {}).get("comparison")
    if not kept:
        return []
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


def by_label(run: Run, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return parameters with the label of a compared strategy in place of its whole spec."""
    strategies = (run.spec.get("comparison") or {}).get("strategies") or {}
    labels = [name for name, spec in strategies.items() if spec == parameters.get("strategy")]
    return {**parameters, "strategy": labels[0]} if labels else parameters
