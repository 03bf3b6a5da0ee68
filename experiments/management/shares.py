"""Shares of arms as they are written on the command line."""

from collections.abc import Sequence

from django.core.management import CommandError


def shares_of(texts: Sequence[str]) -> dict[str, float]:
    """Return the shares of arms, each of which is named once."""
    pairs = [share_of(text) for text in texts]
    shares = dict(pairs)
    if len(shares) < len(pairs):
        names = [arm for arm, _ in pairs]
        twice = next(arm for arm in names if names.count(arm) > 1)
        raise CommandError(f"The arm {twice} is named twice; write ARM=SHARE once of each.")
    return shares


def share_of(text: str) -> tuple[str, float]:
    """Return an arm and its share as they were written."""
    arm, _, share = text.rpartition("=")
    try:
        return arm, float(share)
    except ValueError:
        raise CommandError(f"{text!r} is no share; write ARM=SHARE, as champion=0.3.") from None
