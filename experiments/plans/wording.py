"""Values of metrics as people read them, in verdicts, on pages and on the command line."""

import math
from typing import Protocol

NOTHING = "–"


class Measured(Protocol):
    """What says how the values of a metric are written."""

    @property
    def kind(self) -> str:
        """Mean, proportion, ratio or quantile."""

    @property
    def unit(self) -> str:
        """Written behind the values; `fraction` and `return` are written in percent."""


def write_value(metric: Measured, value: float | None) -> str:
    """Return a value of a metric with its unit; a fraction or a proportion in percent."""
    if value is None:
        return NOTHING
    if metric.unit in {"fraction", "return"} or metric.kind == "proportion":
        return f"{_rounded(100.0 * value, 3)} %"
    return f"{_rounded(value, 4)} {metric.unit}".strip()


def _rounded(value: float, digits: int) -> str:
    """Return a number to some digits; of large ones all before the point, in thousands."""
    is_large = math.isfinite(value) and round(abs(value)) >= 10**digits
    return f"{value:,.0f}" if is_large else f"{value:.{digits}g}"


def write_difference(metric: Measured, value: float | None) -> str:
    """Return a difference of a metric; of proportions in points, as percent would be relative."""
    if value is not None and metric.kind == "proportion":
        return f"{_rounded(100.0 * value, 3)} pp"
    return write_value(metric, value)


def write_interval(metric: Measured, lower: float | None, upper: float | None) -> str:
    """Return the interval of a difference of a metric."""
    if lower is None or upper is None:
        return NOTHING
    return f"{write_difference(metric, lower)} to {write_difference(metric, upper)}"


def write_share(value: float | None) -> str:
    """Return a share or a chance in percent; near its ends with what tells it from them."""
    if value is None:
        return NOTHING
    if 0.0 < value < 0.001:
        return "< 0.1 %"
    if 0.999 < value < 1.0:
        return "> 99.9 %"
    return f"{100.0 * value:.1f} %"


def write_p_value(value: float | None) -> str:
    """Return a p-value; below what its approximation is good for, that."""
    if value is None:
        return NOTHING
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"


def write_confidence(value: float) -> str:
    """Return the confidence of an interval in percent."""
    return f"{100.0 * value:.4g} %"
