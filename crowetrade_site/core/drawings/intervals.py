"""Differences with their intervals, one row each: those that leave 0 out stand apart from it."""

from collections.abc import Sequence

from django.utils.html import escape

from crowetrade_site.core.drawings.canvas import (
    RIGHT,
    TOP,
    Drawing,
    Writer,
    nice_ticks,
    safe,
    words,
)

MOST_ROWS = 20
_BEGIN = 130  # of the plot: names stand before it
_ROW = 22.0


def draw_intervals(
    rows: Sequence[tuple[str, float, float, float]], *, name: str, write: Writer
) -> Drawing | None:
    """Return estimates with their intervals around a line at 0; None without rows.

    `rows` are names with estimate, lower and upper end.
    """
    shown = rows[:MOST_ROWS]
    if not shown:
        return None
    low = min(0.0, *(row[2] for row in shown))
    high = max(0.0, *(row[3] for row in shown))
    if low == high:
        low, high = -1.0, 1.0
    bottom = TOP - 20 + _ROW * len(shown)

    def place(value: float) -> float:
        return _BEGIN + 8 + (RIGHT - _BEGIN - 16) * (value - low) / (high - low)

    marks = [f'<path class="ct-zero" d="M{place(0.0):.2f} {TOP - 20}V{bottom:.2f}"/>']
    for at, (label, estimate, lower, upper) in enumerate(shown):
        y = TOP - 20 + (at + 0.5) * _ROW
        kind = "ct-apart" if lower > 0.0 or upper < 0.0 else "ct-open"
        short = label if len(label) <= 18 else f"{label[:17]}…"
        marks.append(words(_BEGIN - 6, y + 4, short, "end"))
        marks.append(
            f'<g class="{kind}"><title>{escape(label)}: {escape(write(estimate))}, '
            f"{escape(write(lower))} to {escape(write(upper))}</title>"
            f'<path d="M{place(lower):.2f} {y:.2f}H{place(upper):.2f}"/>'
            f'<circle cx="{place(estimate):.2f}" cy="{y:.2f}" r="4"/></g>'
        )
    marks += [words(place(value), bottom + 16, write(value)) for value in nice_ticks(low, high)]
    marks.append(words((_BEGIN + RIGHT) / 2, bottom + 36, name, name="ct-name"))
    n_apart = sum(row[2] > 0.0 or row[3] < 0.0 for row in shown)
    return Drawing(
        name,
        f"One row for each of {len(shown)} strategies: the difference and its interval. "
        f"{n_apart} of the intervals leave 0 out.",
        safe(marks),
        height=int(bottom + 44),
    )
