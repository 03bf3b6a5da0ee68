"""What a mistyped name may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 10
_LONGEST = 100


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a refusal's sentence: the closest known name, else what there is."""
    names = sorted(set(known))
    if close := get_close_matches(name[:_LONGEST], names, n=1, cutoff=0.5):
        return f"; did you mean {close[0]!r}?"
    if not names:
        return "; there is none."
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return f"; there are: {', '.join(names[:_SHOWN])}{more}."
