"""The canvas that all drawings share: size, axes, texts, upright lines.

Plain shapes with classes that the style sheet colors, so that page and report follow the theme and
need no script.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 54, 408, 34, 256  # edges of the plot
N_TICKS = 6

Writer = Callable[[float], str]
Place = Callable[[float], float]  # of a value, on an axis


@dataclass(frozen=True)
class Drawing:
    """The inside of an SVG, and what a screen reader says of it."""

    title: str
    description: str
    marks: SafeString
    width: int = WIDTH
    height: int = HEIGHT


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


def axis_names(across: str, up: str, bottom: float = BOTTOM) -> list[str]:
    """Return the names of the two axes, those that have one."""
    middle = (TOP + bottom) / 2
    below = words((LEFT + RIGHT) / 2, bottom + 36, across, name="ct-name")
    beside = words(14, middle, up, name="ct-name")
    turned = beside.replace("<text", f'<text transform="rotate(-90 14 {middle})"', 1)
    return [mark for name, mark in ((across, below), (up, turned)) if name]


def upright(x: float, text: str, name: str, y: float, bottom: float = BOTTOM) -> list[str]:
    """Return an upright line with its label, which keeps inside the drawing."""
    anchor = "end" if x > (LEFT + RIGHT) / 2 else "start"
    return [
        f'<path class="{name}" d="M{x:.2f} {y + 3:.2f}V{bottom}"/>',
        words(x + (-4 if anchor == "end" else 4), y + 4, text, anchor, "ct-said"),
    ]


def words(x: float, y: float, text: str, anchor: str = "middle", name: str = "") -> str:
    """Return a text of the drawing, escaped."""
    kind = f' class="{name}"' if name else ""
    return f'<text x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}"{kind}>{escape(text)}</text>'


def end_of(path: str) -> str:
    """Return the part of a path that tells it from others at a glance."""
    return path.rsplit(".", 1)[-1]


def safe(marks: Sequence[str]) -> SafeString:
    """Return marks as the inside of an SVG; every text in them is escaped by `words`."""
    return mark_safe("".join(marks))  # noqa: S308 - numbers, and texts that were escaped above
