"""The distribution of an objective over all trials, with the best and what luck gives."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from django.utils.html import escape

from crowetrade_site.core.drawings.canvas import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Drawing,
    Writer,
    axis_names,
    nice_ticks,
    safe,
    upright,
    words,
)


def draw_distribution(
    distribution: Mapping[str, Any], best: float | None, *, objective: str, write: Writer,
    by_luck: float | None = None,
) -> Drawing:  # fmt: skip
    """Return a histogram of the objective over all feasible trials with the best marked.

    `by_luck` is the value that the best of as many trials without skill is expected to have.
    """
    counts, edges = distribution["counts"], distribution["edges"]
    ends = [edges[0], edges[-1]]
    ends += [value for value in (best, by_luck) if value is not None]
    first, last = min(ends), max(ends)

    def place(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - first) / (last - first)

    most = max(counts)
    marks = []
    for n, (begin, end) in zip(counts, pairwise(edges), strict=True):
        tall = (BOTTOM - TOP) * n / most
        marks.append(
            f'<rect x="{place(begin):.2f}" y="{BOTTOM - tall:.2f}" class="ct-count" '
            f'width="{max(place(end) - place(begin) - 0.5, 0.5):.2f}" height="{tall:.2f}">'
            f"<title>{n:,} trial{'' if n == 1 else 's'} from {escape(write(begin))} to "
            f"{escape(write(end))}</title></rect>"
        )
    marks.append(f'<path class="ct-axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/>')
    ticks = nice_ticks(first, last)
    marks += [words(place(value), BOTTOM + 16, write(value)) for value in ticks]
    marks.append(words(LEFT - 6, BOTTOM + 4, "0", "end"))
    marks.append(words(LEFT - 6, TOP + 8, f"{most:,}", "end"))
    marks += axis_names(objective, "trials")
    if by_luck is not None:
        text = f"by luck {write(by_luck)}"
        marks += upright(place(by_luck), text, "ct-luck", TOP - 4)
    if best is not None:
        marks += upright(place(best), f"best {write(best)}", "ct-best", TOP - 18)
    n_trials = sum(counts)
    said = "" if best is None else f" The best has {write(best)}."
    if by_luck is not None:
        said += f" The best of as many trials without skill is expected at {write(by_luck)}."
    return Drawing(
        f"{objective} of all {n_trials:,} feasible trials",
        f"Histogram of {len(counts)} bars from {write(edges[0])} to {write(edges[-1])}; the "
        f"tallest has {most:,} trial{'' if most == 1 else 's'}.{said}",
        safe(marks),
    )
