"""Values of objectives and parameters as people read them."""

import json
from collections.abc import Mapping
from typing import Any

from backtests.models import Run
from backtests.selectors.figures import write_figure
from crowetrade_site.core.drawings import write_number


def write_value(run: Run, objective: str, value: float | None, unit: str = "") -> str:
    """Return a value of an objective; one that is a metric in its own unit.

    `unit` is taken where the run has no metrics yet.
    """
    if value is None:
        return "–"
    unit = run.summary.get("metrics", {}).get(objective, {}).get("unit", unit)
    if not unit:
        return f"{value:,.2f}" if 0.1 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"
    return write_figure(objective, {"value": value, "unit": unit})


def write_parameters(parameters: Mapping[str, Any]) -> list[str]:
    """Return ``path = value`` of each parameter."""
    return [f"{path} = {plain(value)}" for path, value in parameters.items()]


def plain(value: Any) -> str:
    """Return a parameter's value as text."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return write_number(value)
    return json.dumps(value)
