"""How a refusal ends that is about an unknown name."""

from collections.abc import Iterable
from difflib import get_close_matches

_COMPARED = 100


def nearest(given: object, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for a name close to a known one, else all that is known."""
    names = list(known)
    close = get_close_matches(str(given)[:_COMPARED], names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(names)}."
