"""The paths of a cross-validation: one mark each, beside the figure in sample."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

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
    upright,
    words,
)

MOST_DOTS = 60  # more paths are a histogram
_STRIP = TOP + 90  # lower edge of a plot of dots, which need less room
_DOT = 11.0
_N_BARS = 30


def draw_paths(
    values: Sequence[float], in_sample: float | None, *, name: str, write: Writer
) -> Drawing | None:
    """Return the spread of a figure over the paths; None without one.

    Few paths are dots, stacked where they would cover one another; many are bars. `in_sample` is
    the same figure of the best trial where it was chosen.
    """
    if not values:
        return None
    ends = [*values, *([] if in_sample is None else [in_sample])]
    first, last = min(ends), max(ends)
    if first == last:
        first, last = first - 0.5, last + 0.5

    def place(value: float) -> float:
        return LEFT + 8 + (RIGHT - LEFT - 16) * (value - first) / (last - first)

    is_few = len(values) <= MOST_DOTS
    bottom = _STRIP if is_few else BOTTOM
    marks = _dots(values, place, write) if is_few else _bars(values, place, write)
    marks.append(f'<path class="ct-axis" d="M{LEFT} {bottom}H{RIGHT}"/>')
    marks += [words(place(value), bottom + 16, write(value)) for value in nice_ticks(first, last)]
    marks += axis_names(name, "paths", bottom)
    middle = median(values)
    marks += upright(place(middle), f"median path {write(middle)}", "ct-luck", TOP - 4, bottom)
    said = ""
    if in_sample is not None:
        marks += upright(
            place(in_sample), f"in sample {write(in_sample)}", "ct-best", TOP - 18, bottom
        )
        n_below = sum(value < in_sample for value in values)
        said = (
            f" In sample the best trial had {write(in_sample)}: more than {n_below:,} of "
            f"{len(values):,} paths."
        )
    return Drawing(
        f"{name} of {len(values):,} path{'' if len(values) == 1 else 's'} out of sample",
        f"From {write(min(values))} to {write(max(values))}, median {write(middle)}.{said}",
        safe(marks),
        height=bottom + 44,
    )


def _dots(values: Sequence[float], place: Place, write: Writer) -> list[str]:
    heights: dict[int, int] = {}
    marks = []
    for number, value in sorted(enumerate(values, start=1), key=lambda pair: pair[1]):
        x = place(value)
        column = round(x / _DOT)
        heights[column] = heights.get(column, 0) + 1
        y = max(TOP, _STRIP - (heights[column] - 0.5) * _DOT)
        marks.append(
            f'<circle cx="{x:.2f}" cy="{y:.2f}" r="4.5" class="ct-count">'
            f"<title>path {number}: {escape(write(value))}</title></circle>"
        )
    return marks


def _bars(values: Sequence[float], place: Place, write: Writer) -> list[str]:
    low, high = min(values), max(values)
    step = (high - low) / _N_BARS or 1.0
    edges = [low + at * step for at in range(_N_BARS + 1)]
    counts = [0] * _N_BARS
    for value in values:
        counts[min(_N_BARS - 1, int((value - low) / step))] += 1
    most = max(counts)
    return [
        f'<rect x="{place(begin):.2f}" y="{BOTTOM - (BOTTOM - TOP) * n / most:.2f}" '
        f'width="{max(place(end) - place(begin) - 0.5, 0.5):.2f}" '
        f'height="{(BOTTOM - TOP) * n / most:.2f}" class="ct-count"><title>{n:,} paths from '
        f"{escape(write(begin))} to {escape(write(end))}</title></rect>"
        for n, (begin, end) in zip(counts, pairwise(edges), strict=True)
        if n
    ]
