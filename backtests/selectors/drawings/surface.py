"""The surface of an objective over two parameters.

The nine shades are those of viridis, which color-blind readers tell apart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.html import escape

from crowetrade_site.core.drawings.canvas import (
    BOTTOM,
    LEFT,
    N_TICKS,
    RIGHT,
    TOP,
    Drawing,
    Writer,
    axis_names,
    end_of,
    safe,
    words,
    write_number,
)

N_SHADES = 9
HATCH = (  # under the cells: what shows through has no feasible trial
    '<defs><pattern id="ct-hatch" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<path class="ct-hatched" d="M0 6L6 0"/></pattern></defs>'
    f'<rect x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{BOTTOM - TOP}" '
    'fill="url(#ct-hatch)"><title>no feasible trial</title></rect>'
)
CLIPPED = 0.02  # of the cells at either end share the last shade, so that one freak hides no other


def draw_surface(
    surface: Mapping[str, Any], best: Sequence[Any] | None, *, objective: str, write: Writer,
    is_maximized: bool,
) -> Drawing | None:  # fmt: skip
    """Return a heat map of the mean objective over two parameters; None where nothing is known.

    `best` is the best trial's value of either parameter, which is ringed.
    """
    across, up = surface["labels"]
    known = sorted(mean for column in surface["mean"] for mean in column if mean is not None)
    if not known:
        return None
    n_clipped = int(CLIPPED * len(known))
    low, high = known[n_clipped], known[-1 - n_clipped]
    cell = ((RIGHT - LEFT) / len(across), (BOTTOM - TOP) / len(up))
    placed = f"translate({LEFT} {BOTTOM}) scale({cell[0]:.5f} {-cell[1]:.5f})"
    across_words, up_words = [[write_number(label) for label in side] for side in (across, up)]
    shades: list[list[str]] = [[] for _ in range(N_SHADES)]
    for i, column in enumerate(surface["mean"]):
        for j, mean in enumerate(column):
            if mean is not None:
                shades[_shade(mean, low, high, is_maximized=is_maximized)].append(
                    f'<path d="M{i} {j}h1v1h-1z"><title>{across_words[i]} × {up_words[j]}: '
                    f"{escape(write(mean))}</title></path>"
                )
    cells = [f'<g class="ct-q{at}">{"".join(paths)}</g>' for at, paths in enumerate(shades)]
    names = [end_of(path) for path in surface["paths"]]
    marks = [
        HATCH, f'<g shape-rendering="crispEdges" transform="{placed}">', *cells, "</g>",
        *_ring(best, across, up, cell), *_ticks_across(across_words, cell[0]),
        *_ticks_up(up_words, cell[1]),
        *axis_names(names[0], names[1]),
        *_legend(write(low), write(high), is_maximized=is_maximized, is_clipped=n_clipped > 0),
    ]  # fmt: skip
    return Drawing(
        f"Mean {objective} over {names[0]} and {names[1]}",
        f"Heat map of {len(across)} by {len(up)} cells. The mean goes from {write(known[0])} to "
        f"{write(known[-1])}; the lighter a cell, the better; hatched cells have no feasible trial."
        + (" The cell of the best trial is ringed." if best else ""),
        safe(marks),
    )


def _shade(mean: float, low: float, high: float, *, is_maximized: bool) -> int:
    """Return 0 (worst) to 8 (best)."""
    share = 0.5 if high <= low else min(1.0, max(0.0, (mean - low) / (high - low)))
    return min(N_SHADES - 1, int(N_SHADES * (share if is_maximized else 1.0 - share)))


def _ring(
    best: Sequence[Any] | None, across: Sequence[float], up: Sequence[float],
    cell: tuple[float, float],
) -> list[str]:  # fmt: skip
    if best is None or not all(isinstance(value, int | float) for value in best):
        return []
    i, j = (
        min(range(len(side)), key=lambda at: abs(side[at] - value))
        for side, value in zip((across, up), best, strict=True)
    )
    x, y = LEFT + (i + 0.5) * cell[0], BOTTOM - (j + 0.5) * cell[1]
    radius = min(9.0, max(5.0, 0.35 * min(cell)))
    title = f"<title>best trial: {write_number(best[0])} × {write_number(best[1])}</title>"
    return [
        f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}" class="{name}">{title}</circle>'
        for name in ("ct-ring ct-under", "ct-ring")
    ]


def _ticks_across(labels: Sequence[str], size: float) -> list[str]:
    return [words(LEFT + (at + 0.5) * size, BOTTOM + 16, labels[at]) for at in _chosen(len(labels))]


def _ticks_up(labels: Sequence[str], size: float) -> list[str]:
    return [
        words(LEFT - 6, BOTTOM - (at + 0.5) * size + 4, labels[at], "end")
        for at in _chosen(len(labels))
    ]


def _chosen(n: int) -> list[int]:
    """Return which of n labels are written."""
    if n <= N_TICKS:
        return list(range(n))
    return sorted({round(at * (n - 1) / (N_TICKS - 1)) for at in range(N_TICKS)})


def _legend(low: str, high: str, *, is_maximized: bool, is_clipped: bool) -> list[str]:
    """Return the shades from worse to better with the values at their ends."""
    worse, better = (low, high) if is_maximized else (high, low)
    if is_clipped:
        signs = ("≤ ", "≥ ") if is_maximized else ("≥ ", "≤ ")
        worse, better = signs[0] + worse, signs[1] + better
    size, begin = 16, (LEFT + RIGHT) / 2 - 84
    blocks = [
        f'<rect x="{begin + at * size}" y="10" width="{size}" height="10" class="ct-q{at}"/>'
        for at in range(N_SHADES)
    ]
    return [
        *blocks,
        words(begin - 6, 19, worse, "end"),
        words(begin + N_SHADES * size + 6, 19, f"{better} (better)", "start"),
    ]
