"""Drawings of a study as inline SVG: the surface of its objective, and its distribution.

Plain shapes with classes that the style sheet colors, so that page and report follow the theme
and need no script. The nine shades are those of viridis, which color-blind readers tell apart.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 54, 408, 34, 256  # edges of the plot
N_SHADES = 9
N_TICKS = 6
HATCH = (  # under the cells: what shows through has no feasible trial
    '<defs><pattern id="ct-hatch" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<path class="ct-hatched" d="M0 6L6 0"/></pattern></defs>'
    f'<rect x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{BOTTOM - TOP}" '
    'fill="url(#ct-hatch)"><title>no feasible trial</title></rect>'
)
CLIPPED = 0.02  # of the cells at either end share the last shade, so that one freak hides no other

Writer = Callable[[float], str]


@dataclass(frozen=True)
class Drawing:
    """The inside of an SVG, and what a screen reader says of it."""

    title: str
    description: str
    marks: SafeString
    width: int = WIDTH
    height: int = HEIGHT


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
    names = [_end_of(path) for path in surface["paths"]]
    marks = [
        HATCH, f'<g shape-rendering="crispEdges" transform="{placed}">', *cells, "</g>",
        *_ring(best, across, up, cell), *_ticks_across(across_words, cell[0]),
        *_ticks_up(up_words, cell[1]),
        *_names(names[0], names[1]),
        *_legend(write(low), write(high), is_maximized=is_maximized, is_clipped=n_clipped > 0),
    ]  # fmt: skip
    return Drawing(
        f"Mean {objective} over {names[0]} and {names[1]}",
        f"Heat map of {len(across)} by {len(up)} cells. The mean goes from {write(known[0])} to "
        f"{write(known[-1])}; the lighter a cell, the better; hatched cells have no feasible trial."
        + (" The cell of the best trial is ringed." if best else ""),
        _safe(marks),
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
    marks += [_text(place(value), BOTTOM + 16, write(value)) for value in ticks]
    marks.append(_text(LEFT - 6, BOTTOM + 4, "0", "end"))
    marks.append(_text(LEFT - 6, TOP + 8, f"{most:,}", "end"))
    marks += _names(objective, "trials")
    if by_luck is not None:
        text = f"by luck {write(by_luck)}"
        marks += _mark(place(by_luck), text, "ct-luck", TOP - 4)
    if best is not None:
        marks += _mark(place(best), f"best {write(best)}", "ct-best", TOP - 18)
    n_trials = sum(counts)
    said = "" if best is None else f" The best has {write(best)}."
    if by_luck is not None:
        said += f" The best of as many trials without skill is expected at {write(by_luck)}."
    return Drawing(
        f"{objective} of all {n_trials:,} feasible trials",
        f"Histogram of {len(counts)} bars from {write(edges[0])} to {write(edges[-1])}; the "
        f"tallest has {most:,} trials.{said}",
        _safe(marks),
    )


def write_number(value: Any) -> str:
    """Return a parameter's value as people read it: 5 for 5.0, words as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def nice_ticks(first: float, last: float) -> list[float]:
    """Return round numbers within an interval of positive length, at most `N_TICKS`."""
    rough = (last - first) / (N_TICKS - 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * k for k in (1, 2, 5, 10) if size * k >= rough * (1 - 1e-9))
    begin = math.ceil(first / step - 1e-9)
    return [at * step for at in range(begin, math.floor(last / step + 1e-9) + 1)]


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
    return [_text(LEFT + (at + 0.5) * size, BOTTOM + 16, labels[at]) for at in _chosen(len(labels))]


def _ticks_up(labels: Sequence[str], size: float) -> list[str]:
    return [
        _text(LEFT - 6, BOTTOM - (at + 0.5) * size + 4, labels[at], "end")
        for at in _chosen(len(labels))
    ]


def _chosen(n: int) -> list[int]:
    """Return which of n labels are written."""
    if n <= N_TICKS:
        return list(range(n))
    return sorted({round(at * (n - 1) / (N_TICKS - 1)) for at in range(N_TICKS)})


def _names(across: str, up: str) -> list[str]:
    turned = f'transform="rotate(-90 12 {(TOP + BOTTOM) / 2})"'
    below = _text((LEFT + RIGHT) / 2, BOTTOM + 36, across, name="ct-name")
    beside = _text(12, (TOP + BOTTOM) / 2, up, name="ct-name")
    return [below, beside.replace("<text", f"<text {turned}", 1)]


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
        _text(begin - 6, 19, worse, "end"),
        _text(begin + N_SHADES * size + 6, 19, f"{better} (better)", "start"),
    ]


def _mark(x: float, text: str, name: str, y: float) -> list[str]:
    """Return an upright line with its label, which keeps inside the drawing."""
    anchor = "end" if x > (LEFT + RIGHT) / 2 else "start"
    return [
        f'<path class="{name}" d="M{x:.2f} {y + 3:.2f}V{BOTTOM}"/>',
        _text(x + (-4 if anchor == "end" else 4), y + 4, text, anchor, "ct-said"),
    ]


def _text(x: float, y: float, text: str, anchor: str = "middle", name: str = "") -> str:
    kind = f' class="{name}"' if name else ""
    return f'<text x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}"{kind}>{escape(text)}</text>'


def _end_of(path: str) -> str:
    """Return the part of a path that tells it from others at a glance."""
    return path.rsplit(".", 1)[-1]


def _safe(marks: Sequence[str]) -> SafeString:
    return mark_safe("".join(marks))  # noqa: S308 - numbers, and texts that were escaped above
