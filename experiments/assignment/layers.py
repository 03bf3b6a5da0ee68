"""Layers: experiments that must not share a unit take disjoint ranges of one salt's points.

A range holds the points from its start up to, but without, its stop. A layer is cut in millionths,
so that ranges read well and shares add up without rounding. Units in a holdout, a range that is
given to no experiment, show later what all experiments of the layer did together.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from experiments.assignment.buckets import threshold
from experiments.assignment.errors import LayerError

N_PARTS = 1_000_000  # the finest share of a layer is one over this


class Range(NamedTuple):
    """Points of a layer in ``[start, stop)``, with 0 <= start < stop <= 1."""

    start: float
    stop: float


WHOLE = (Range(0.0, 1.0),)


def read_ranges(pairs: Iterable[object]) -> tuple[Range, ...]:
    """Return ranges from a document's pairs, in their order, adjoining ones joined.

    Raises
    ------
    LayerError
        One is no pair of numbers with 0 <= start < stop <= 1, or two overlap.
    """
    read = sorted(_read(pair) for pair in _listed(pairs))
    joined: list[Range] = []
    for one in read:
        if joined and one.start < joined[-1].stop:
            raise LayerError(f"The ranges {_told(joined[-1])} and {_told(one)} overlap.")
        if joined and one.start == joined[-1].stop:
            joined[-1] = Range(joined[-1].start, one.stop)
        else:
            joined.append(one)
    return tuple(joined)


def free_ranges(taken: Iterable[Range]) -> tuple[Range, ...]:
    """Return what nobody has taken of a layer, in ascending order, in whole millionths.

    Parameters
    ----------
    taken : iterable of Range
        Of all experiments of the layer, and its holdout; they may overlap.
    """
    return tuple(Range(start / N_PARTS, stop / N_PARTS) for start, stop in _free_parts(taken))


def allocate_ranges(share: float, taken: Iterable[Range]) -> tuple[Range, ...]:
    """Return free ranges that add up to a share: the first that are free, in several pieces if so.

    Parameters
    ----------
    share : float
        Of the layer's units, in (0, 1]; rounded to a millionth.
    taken : iterable of Range
        Of all experiments of the layer, and its holdout.

    Raises
    ------
    LayerError
        The share is none, or there is less room than that.
    """
    if not 0.0 < share <= 1.0:
        raise LayerError(f"{share!r} is no share of a layer: it is above 0, and at most 1.")
    wanted = round(share * N_PARTS)
    if not wanted:
        raise LayerError(f"A share of {share:g} is less than a millionth of the layer.")
    pieces: list[Range] = []
    free = _free_parts(taken)
    room = sum(stop - start for start, stop in free)
    if room < wanted:
        raise LayerError(
            f"The layer has no room for {wanted / N_PARTS:.4%} of its units: {room / N_PARTS:.4%} "
            "are free."
        )
    for start, stop in free:
        end = min(stop, start + wanted)
        pieces.append(Range(start / N_PARTS, end / N_PARTS))
        wanted -= end - start
        if not wanted:
            break
    return tuple(pieces)


def require_exclusive(owners: Mapping[str, Iterable[Range]]) -> None:
    """Refuse owners (experiments, the holdout) of one layer that share a point.

    Raises
    ------
    LayerError
        Two do; both are named.
    """
    held = sorted((one, owner) for owner, ranges in owners.items() for one in ranges)
    if not held:
        return
    last, holder = held[0]
    for one, owner in held[1:]:
        if one.start < last.stop:
            raise LayerError(
                f"{holder} with {_told(last)} and {owner} with {_told(one)} overlap in their layer."
            )
        last, holder = one, owner


def total_share(ranges: Iterable[Range]) -> float:
    """Return which share of the layer's units ranges hold; they must not overlap."""
    return math.fsum(one.stop - one.start for one in ranges)


def edges(ranges: Iterable[Range]) -> tuple[int, ...]:
    """Return the starts and stops of ranges in buckets, ascending, for `is_inside`.

    Parameters
    ----------
    ranges : iterable of Range
        As `read_ranges` returns them: ascending, and apart.
    """
    return tuple(threshold(end) for one in ranges for end in one)


def is_inside(bucket: int, ends: tuple[int, ...]) -> bool:
    """Return whether a bucket is in ranges of these `edges`: an odd number of them is not above."""
    return bisect_right(ends, bucket) % 2 == 1


def _free_parts(taken: Iterable[Range]) -> list[tuple[int, int]]:
    """Return the free millionths; a range that begins or ends between two takes both."""
    free, end = [], 0
    for one in sorted(taken):
        start, stop = _part(one.start, math.floor), _part(one.stop, math.ceil)
        if start > end:
            free.append((end, start))
        end = max(end, stop)
    return [*free, (end, N_PARTS)] if end < N_PARTS else free


def _part(at: float, rounded: Callable[[float], int]) -> int:
    near = round(at * N_PARTS)
    return near if near / N_PARTS == at else rounded(at * N_PARTS)


def _listed(pairs: object) -> list[object]:
    if not isinstance(pairs, list | tuple):
        raise LayerError("Ranges are a list of pairs [from, to].")
    return list(pairs)


def _read(pair: object) -> Range:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise LayerError(f"{str(pair)[:80]} is no range: it is a pair [from, to].")
    numbers = [one for one in pair if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) < 2 or not 0.0 <= numbers[0] < numbers[1] <= 1.0:
        raise LayerError(f"{str(pair)[:80]} is no range: it ascends, within 0 and 1.")
    return Range(float(numbers[0]), float(numbers[1]))


def _told(one: Range) -> str:
    return f"[{one.start:g}, {one.stop:g})"
