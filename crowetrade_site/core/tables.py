"""Rows as aligned lines of text, for a terminal; framework-free."""

from collections.abc import Iterable, Sequence


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines: the first column flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [_line(row, widths) for row in table]


def _line(row: Iterable[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if at else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()
