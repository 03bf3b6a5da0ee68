"""The folds of a study: when each trained and was tested, what it kept, and what it chose."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

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
    end_of,
    nice_ticks,
    safe,
    words,
    write_number,
)

MOST_FOLDS = 40  # drawn; more would be thinner than a line of text
MOST_PARAMETERS = 4
PARTS = ("train", "purge", "embargo", "test")  # of a fold's time, as the legend has them
_DAY = timedelta(days=1)
_ABOVE = 6  # upper edge of the bands, which have no legend
_THICKEST = 16.0  # of a row [units of the drawing]


def draw_timeline(folds: Sequence[Mapping[str, Any]]) -> Drawing:
    """Return one row per fold with its training, gaps and tests on the calendar of the data."""
    shown = folds[:MOST_FOLDS]
    days = [
        date.fromisoformat(day)
        for fold in shown
        for part in PARTS
        for stretch in fold.get(part) or []
        for day in stretch
    ]
    first, last = min(days), max(days) + _DAY
    size = min(_THICKEST, (BOTTOM - TOP) / len(shown))
    bottom = TOP + size * len(shown)

    def place(day: date) -> float:
        return LEFT + (RIGHT - LEFT) * ((day - first) / (last - first))

    marks = _legend()
    for row, fold in enumerate(shown):
        for part in PARTS:
            for begin, end in fold.get(part) or []:
                x, stop = place(date.fromisoformat(begin)), place(date.fromisoformat(end) + _DAY)
                marks.append(
                    f'<rect x="{x:.2f}" y="{TOP + row * size + 0.1 * size:.2f}" '
                    f'width="{max(stop - x, 0.6):.2f}" height="{0.8 * size:.2f}" '
                    f'class="ct-{part}"><title>fold {row + 1}, {part}: {begin} to {end}'
                    "</title></rect>"
                )
    marks += [
        words(LEFT - 6, TOP + (row + 0.5) * size + 4, str(row + 1), "end")
        for row in _spread(len(shown), max(1, int(bottom - TOP) // 14))
    ]
    marks.append(f'<path class="ct-axis" d="M{LEFT} {bottom:.2f}H{RIGHT}"/>')
    marks += [words(place(day), bottom + 16, said) for day, said in _dates(first, last)]
    marks += axis_names("", "fold", bottom)
    return Drawing(
        f"Folds from {first} to {last - _DAY}",
        f"One row for each of {len(shown):,} folds, from left to right the calendar: its training, "
        "what is left out between (purged where labels would reach into the test, embargoed beyond "
        "that) and its test.",
        safe(marks),
        height=int(bottom + 30),
    )


def draw_degradation(
    folds: Sequence[Mapping[str, Any]], *, objective: str, write: Writer
) -> Drawing | None:
    """Return what each fold's choice had in training and in test; None where nothing is known."""
    pairs = [(fold["train_value"], fold["test_value"]) for fold in folds]
    known = [value for pair in pairs for value in pair if value is not None]
    if not known:
        return None
    place = _upward(known)
    across = (RIGHT - LEFT) / len(pairs)
    radius = max(1.5, min(4.0, 0.3 * across))
    marks = _grid(known, place, write)
    for at, (train, test) in enumerate(pairs):
        x = LEFT + (at + 0.5) * across
        title = f"<title>fold {at + 1}: {escape(write(train))} in training, "
        title += f"{'none' if test is None else escape(write(test))} in test</title>"
        if test is not None:
            marks.append(
                f'<path class="ct-kept" d="M{x:.2f} {place(train):.2f}V{place(test):.2f}"/>'
                f'<circle cx="{x:.2f}" cy="{place(test):.2f}" r="{radius:.2f}" class="ct-test">'
                f"{title}</circle>"
            )
        marks.append(
            f'<circle cx="{x:.2f}" cy="{place(train):.2f}" r="{radius:.2f}" class="ct-train">'
            f"{title}</circle>"
        )
    marks += _fold_ticks(len(pairs), across)
    marks += axis_names("fold", objective)
    marks += _legend(("train", "test"))
    n_worse = sum(test is not None and test < train for train, test in pairs)
    return Drawing(
        f"{objective} of each fold's choice, in training and in test",
        f"Two dots for each of {len(pairs):,} folds, joined by a line: what its choice had where "
        f"it was chosen, and where it was tried. In {n_worse:,} it had less in the test.",
        safe(marks),
    )


def draw_choices(folds: Sequence[Mapping[str, Any]], over: Mapping[str, Any]) -> Drawing | None:
    """Return which value of each searched parameter the folds chose; None where none varies.

    `over` is what was searched, which gives the parameters their order.
    """
    paths = [path for path in over if any(path in fold["parameters"] for fold in folds)]
    bands = [(path, *_scale(path, folds)) for path in paths[:MOST_PARAMETERS]]
    bands = [band for band in bands if len(band[1]) > 1]
    if not bands or len(folds) < 2:
        return None
    tall, across = (BOTTOM - _ABOVE) / len(bands), (RIGHT - LEFT) / len(folds)
    marks: list[str] = []
    for row, (path, heights, low, high) in enumerate(bands):
        top, bottom = _ABOVE + row * tall + 18, _ABOVE + (row + 1) * tall - 4
        marks.append(words(LEFT, top - 6, end_of(path), "start", "ct-name"))
        marks.append(f'<path class="ct-axis" d="M{LEFT} {bottom:.2f}H{RIGHT}"/>')
        marks += [words(LEFT - 6, bottom + 2, low, "end"), words(LEFT - 6, top + 8, high, "end")]
        marks += _steps(path, folds, heights, (top, bottom), across)
    marks += _fold_ticks(len(folds), across)
    marks += axis_names("fold", "")
    return Drawing(
        "Parameters chosen, fold by fold",
        f"One band for each of {len(bands)} parameters, from its least to its largest value. A "
        "line that jumps about says that the choice follows the noise of each training.",
        safe(marks),
    )


def _scale(path: str, folds: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], str, str]:
    """Return the height of each value chosen, from 0 to 1, and the words at either end."""
    values = [fold["parameters"][path] for fold in folds if path in fold["parameters"]]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        low, high = min(values), max(values)
        span = (high - low) or 1
        heights = {str(value): (value - low) / span for value in values}
        return heights, _short(write_number(low)), _short(write_number(high))
    distinct = list(dict.fromkeys(map(str, values)))
    last = max(1, len(distinct) - 1)
    heights = {value: at / last for at, value in enumerate(distinct)}
    return heights, _short(distinct[0]), _short(distinct[-1])


def _short(said: str) -> str:
    return said if len(said) <= 8 else f"{said[:7]}…"


def _steps(
    path: str, folds: Sequence[Mapping[str, Any]], heights: Mapping[str, float],
    band: tuple[float, float], across: float,
) -> list[str]:  # fmt: skip
    """Return the line of one parameter through the folds, with a dot for each choice."""
    top, bottom = band
    points = [
        (LEFT + (at + 0.5) * across, bottom - heights[str(value)] * (bottom - top), at, value)
        for at, fold in enumerate(folds)
        for value in [fold["parameters"].get(path)]
        if value is not None
    ]
    line = "L".join(f"{x:.2f} {y:.2f}" for x, y, _, _ in points)
    radius = max(1.2, min(3.0, 0.3 * across))
    return [
        f'<path class="ct-step" d="M{line}"/>',
        *(
            f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}" class="ct-train">'
            f"<title>fold {at + 1}: {escape(write_number(value))}</title></circle>"
            for x, y, at, value in points
        ),
    ]


def _upward(known: Sequence[float]) -> Place:
    """Return what places a value between the edges of the plot, with a margin."""
    low, high = min(*known, 0.0), max(*known, 0.0)
    room = 0.06 * (high - low) or 1.0

    def place(value: float) -> float:
        share = (value - low + room) / (high - low + 2.0 * room)
        return BOTTOM - (BOTTOM - TOP) * share

    return place


def _grid(known: Sequence[float], place: Place, write: Writer) -> list[str]:
    """Return the ticks beside the plot, and a line at 0."""
    low, high = min(*known, 0.0), max(*known, 0.0)
    ticks = nice_ticks(low, high) if high > low else [low]
    marks = [words(LEFT - 6, place(value) + 4, write(value), "end") for value in ticks]
    return [*marks, f'<path class="ct-axis" d="M{LEFT} {place(0.0):.2f}H{RIGHT}"/>']


def _fold_ticks(n_folds: int, across: float) -> list[str]:
    return [
        words(LEFT + (at + 0.5) * across, BOTTOM + 16, str(at + 1)) for at in _spread(n_folds, 10)
    ]


def _spread(n: int, most: int) -> list[int]:
    """Return which of n places are named, from the first on, evenly."""
    step = max(1, -(-n // most))
    return list(range(0, n, step))


def _legend(parts: Sequence[str] = PARTS) -> list[str]:
    """Return a key of the parts of a fold above the plot."""
    marks, x = [], float(LEFT)
    for part in parts:
        marks.append(
            f'<rect x="{x:.2f}" y="12" width="10" height="10" class="ct-{part}"/>'
            + words(x + 14, 21, part, "start")
        )
        x += 26 + 6.5 * len(part)
    return marks


def _dates(first: date, last: date) -> list[tuple[date, str]]:
    """Return a few round days of an interval, and how each is written."""
    n_days = (last - first).days
    years = [date(year, 1, 1) for year in range(first.year, last.year + 1)]
    within = [day for day in years if first <= day < last]
    if len(within) >= 3:
        return [(day, str(day.year)) for day in within[:: -(-len(within) // 6)]]
    step = max(1, n_days // 4)
    days = [first + timedelta(days=at) for at in range(step // 2, n_days, step)]
    return [(day, f"{day:%Y-%m}" if n_days > 150 else f"{day:%m-%d}") for day in days]
