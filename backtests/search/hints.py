"""What a mistyped name may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 10
_LONGEST = 100


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a mistyped one may have meant, if any is near."""
    close = get_close_matches(name[:_LONGEST], sorted(set(known)), n=1, cutoff=0.5)
    return close[0] if close else None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a refusal's sentence: the closest known name, else what there is."""
    names = sorted(set(known))
    if close := closest(name, names):
        return f"; did you mean {close!r}?"
    if not names:
        return "; there is none."
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return f"; there are: {', '.join(names[:_SHOWN])}{more}."
