"""Curves over time or number, with bands round them, and shares stacked to a whole."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.utils.html import escape

from crowetrade_site.core.drawings.canvas import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Drawing,
    Place,
    Writer,
    axis_names,
    nice_ticks,
    safe,
    words,
)

MOST_POINTS = 400  # of a curve: about one for each unit of the drawing
MOST_CURVES = 8  # the style sheet has so many colors
_ROUND = 1e-12
_ROOM = 7  # characters beside the plot


@dataclass(frozen=True)
class Curve:
    """One line, and the band round it where it has one.

    Attributes
    ----------
    label : str
    values : sequence of float
        As many as there are places along the axis; NaN leaves a gap.
    lower, upper : sequence of float
        Edges of the band, as many; empty without one. Infinite edges are cut at the drawing's.
    color : int, optional
        Of the style sheet's eight; by default the curve's position.
    """

    label: str
    values: Sequence[float]
    lower: Sequence[float] = field(default=())
    upper: Sequence[float] = field(default=())
    color: int | None = None


def draw_curves(
    along: Sequence[float], curves: Sequence[Curve], *, title: str, said: str, across: str = "",
    up: str = "", write: Writer, write_along: Writer | None = None,
    levels: Sequence[tuple[float, str]] = (),
) -> Drawing | None:  # fmt: skip
    """Return lines with their bands; None where no value is known.

    Parameters
    ----------
    along : sequence of float
        Ascending places along the axis; seconds since 1970 where `write_along` is `write_day`.
    said : str
        What a reader who cannot see it is told.
    levels : sequence of (float, str)
        Dashed lines across, such as 0 or a margin, with their names.
    """
    shown = curves[:MOST_CURVES]
    kept = _thinned(len(along))
    low, high = _range_of(shown, kept, [value for value, _ in levels])
    if low is None or high is None or len(kept) < 1:
        return None
    sideways = _scale(along[kept[0]], along[kept[-1]], LEFT, RIGHT)
    upward = _scale(low, high, BOTTOM, TOP)
    marks = _grid(low, high, upward, write)
    for value, name in levels:
        y = upward(value)
        marks.append(f'<path class="ct-zero" d="M{LEFT} {y:.2f}H{RIGHT}"/>')
        if name:
            marks.append(words(RIGHT, y - 4, name, "end"))
    for at, curve in enumerate(shown):
        color = at if curve.color is None else curve.color
        places = [(sideways(along[k]), k) for k in kept]
        marks.append(f'<g class="ct-c{color}"><title>{escape(curve.label)}</title>')
        marks.append(_band(curve, places, upward, (low, high)))
        marks.append(
            f'<path class="ct-curve" d="{_line(curve.values, places, upward, (low, high))}"/></g>'
        )
    marks += _below(along[kept[0]], along[kept[-1]], sideways, write_along or write)
    marks += _legend([(curve.label, curve.color) for curve in shown])
    marks += axis_names(across, up)
    return Drawing(title, said, safe(marks))


def draw_shares(
    along: Sequence[float], shares: Sequence[Curve], *, title: str, said: str,
    write_along: Writer | None = None, up: str = "",
) -> Drawing | None:  # fmt: skip
    """Return shares of a whole stacked on each other, as steps; None without any.

    Each holds from its place to the next; the last to the drawing's edge.
    """
    if not along or not shares:
        return None
    kept = _thinned(len(along))
    sideways = _scale(along[kept[0]], along[kept[-1]], LEFT, RIGHT)
    upward = _scale(0.0, 1.0, BOTTOM, TOP)
    marks: list[str] = []
    below = [0.0] * len(kept)
    xs = [sideways(along[k]) for k in kept]
    if len(kept) == 1 or xs[0] == xs[-1]:
        xs = [float(LEFT)] * len(kept)
    for at, share in enumerate(shares[:MOST_CURVES]):
        above = [base + share.values[k] for base, k in zip(below, kept, strict=True)]
        color = at if share.color is None else share.color
        top = _steps(xs, [upward(value) for value in above])
        bottom = _steps(xs, [upward(value) for value in below])
        outline = " ".join(f"{x:.2f},{y:.2f}" for x, y in [*top, *reversed(bottom)])
        marks.append(
            f'<polygon class="ct-share ct-c{color}" points="{outline}">'
            f"<title>{escape(share.label)}: {share.values[kept[-1]]:.1%} at the end</title>"
            "</polygon>"
        )
        below = above
    marks += [
        words(LEFT - 6, upward(value) + 4, f"{value:.0%}", "end")
        for value in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    if write_along is not None:
        marks += _below(along[kept[0]], along[kept[-1]], sideways, write_along)
    marks += _legend([(share.label, share.color) for share in shares[:MOST_CURVES]])
    marks += axis_names("", up)
    return Drawing(title, said, safe(marks))


def write_day(seconds: float) -> str:
    """Return the day of a moment, for an axis of time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def write_moment(seconds: float) -> str:
    """Return day and minute of a moment, for an axis of hours."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%m-%d %H:%M")


def write_time_of(first: float, last: float) -> Writer:
    """Return what fits a stretch of time: days, or minutes where it is short."""
    return write_day if last - first > 4 * 86_400 else write_moment


def _thinned(n: int) -> list[int]:
    """Return the points that are drawn: all, or as many as can be told apart, ends included."""
    if n <= MOST_POINTS:
        return list(range(n))
    return sorted({round(at * (n - 1) / (MOST_POINTS - 1)) for at in range(MOST_POINTS)})


def _range_of(
    curves: Sequence[Curve], kept: Sequence[int], levels: Sequence[float]
) -> tuple[float | None, float | None]:
    """Return the ends of the upright axis: of values and bands, but bands no wider than useful.

    An interval that has only begun is as wide as the sky; the last half of it says what is drawn.
    """
    values = [
        curve.values[k] for curve in curves for k in _telling(curve, kept)
        if math.isfinite(curve.values[k])
    ]  # fmt: skip
    if not values:
        return None, None
    late = kept[len(kept) // 2 :]
    edges = [
        edge[k] for curve in curves for edge in (curve.lower, curve.upper) if edge
        for k in late if math.isfinite(edge[k])
    ]  # fmt: skip
    low, high = min([*values, *edges, *levels]), max([*values, *edges, *levels])
    room = 0.04 * (high - low) or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _telling(curve: Curve, kept: Sequence[int]) -> list[int]:
    """Return the points that decide on the axis: of a curve with a band those that have one."""
    inside = [
        k for k in kept
        if curve.lower and curve.upper
        and math.isfinite(curve.lower[k]) and math.isfinite(curve.upper[k])
    ]  # fmt: skip
    return inside or list(kept)


def _scale(first: float, last: float, begin: float, end: float) -> Place:
    width = last - first
    if abs(width) < _ROUND * max(abs(first), abs(last), 1e-300):
        middle = (begin + end) / 2
        return lambda _: middle
    return lambda value: begin + (end - begin) * (value - first) / width


def _grid(low: float, high: float, upward: Place, write: Writer) -> list[str]:
    marks = []
    for value in nice_ticks(low, high):
        y = upward(value)
        marks.append(f'<path class="ct-axis" d="M{LEFT} {y:.2f}H{RIGHT}"/>')
        marks.append(_beside(y + 4, write(value)))
    return marks


def _beside(y: float, text: str) -> str:
    """Return a label of the upright axis, set narrower where it would be cut off."""
    mark = words(LEFT - 6, y, text, "end")
    if len(text) <= _ROOM:
        return mark
    narrow = f'<text textLength="{LEFT - 8}" lengthAdjust="spacingAndGlyphs"'
    return mark.replace("<text", narrow, 1)


def _line(
    values: Sequence[float], places: Sequence[tuple[float, int]], upward: Place,
    ends: tuple[float, float],
) -> str:  # fmt: skip
    """Return the path through the known values; an unknown one lifts the pen.

    What lies beyond the ends of the axis runs along its edge.
    """
    low, high = ends
    path, is_down = [], False
    for x, k in places:
        if not math.isfinite(values[k]):
            is_down = False
            continue
        path.append(
            f"{'L' if is_down else 'M'}{x:.2f} {upward(min(max(values[k], low), high)):.2f}"
        )
        is_down = True
    return "".join(path)


def _band(
    curve: Curve, places: Sequence[tuple[float, int]], upward: Place, ends: tuple[float, float]
) -> str:
    if not curve.lower or not curve.upper:
        return ""
    inside = [
        (x, k) for x, k in places
        if not math.isnan(curve.lower[k]) and not math.isnan(curve.upper[k])
    ]  # fmt: skip
    if len(inside) < 2:
        return ""
    low, high = ends
    top = [(x, upward(min(curve.upper[k], high))) for x, k in inside]
    bottom = [(x, upward(max(curve.lower[k], low))) for x, k in reversed(inside)]
    outline = " ".join(f"{x:.2f},{y:.2f}" for x, y in [*top, *bottom])
    return f'<polygon class="ct-band" points="{outline}"/>'


def _steps(xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
    """Return the corners of a staircase that ends at the drawing's edge."""
    corners = []
    for at, (x, y) in enumerate(zip(xs, ys, strict=True)):
        if at:
            corners.append((x, ys[at - 1]))
        corners.append((x, y))
    corners.append((float(RIGHT), ys[-1]))
    return corners


def _below(first: float, last: float, sideways: Place, write: Writer) -> list[str]:
    """Return the names of the axis along: both ends, and the middle where there is one."""
    marks = [f'<path class="ct-axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/>']
    if first == last:
        return [*marks, words((LEFT + RIGHT) / 2, BOTTOM + 16, write(first))]
    middle = (first + last) / 2
    said = [(first, "start"), (middle, "middle"), (last, "end")]
    return marks + [words(sideways(at), BOTTOM + 16, write(at), anchor) for at, anchor in said]


def _legend(names: Sequence[tuple[str, int | None]]) -> list[str]:
    """Return the names of the curves in their colors, above the plot; one alone needs none."""
    if len(names) < 2:
        return []
    marks, x = [], float(LEFT)
    for at, (label, color) in enumerate(names):
        short = label if len(label) <= 16 else f"{label[:15]}…"
        width = 24 + 7.0 * len(short)
        if x + width > RIGHT + 12:
            break
        number = at if color is None else color
        marks.append(
            f'<rect class="ct-key ct-c{number}" x="{x:.2f}" y="{TOP - 21}" width="10" height="4"/>'
        )
        marks.append(words(x + 14, TOP - 15, short, "start"))
        x += width
    return marks
