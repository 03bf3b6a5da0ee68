"""What a mistyped name may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

SHOWN = 10
LONGEST = 100
NEAR = 0.6  # least likeness of two names, of which one may be the other mistyped


def shown(name: Any) -> str:
    """Return a name as it may be written into an answer: half a surrogate pair may not."""
    return str(name)[:LONGEST].encode(errors="replace").decode()


def closest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the closest known name, or nothing."""
    close = get_close_matches(name[:LONGEST], sorted(set(known)), n=1, cutoff=NEAR)
    return f"; did you mean {close[0]!r}?" if close else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a refusal's sentence: the closest known name, else what there is.

    Begins with a semicolon and ends with a full stop or a question mark.
    """
    names = sorted(set(known))
    if close := closest(name, names):
        return close
    if not names:
        return "; there is none yet."
    more = f", … ({len(names)} in all)" if len(names) > SHOWN else ""
    return f"; there are: {', '.join(names[:SHOWN])}{more}."
