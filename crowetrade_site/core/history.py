"""Entries of the audit trail as a person reads them."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from crowetrade_site.core.models import AuditEvent, BaseModel

MOST_EVENTS = 30

# Verbs whose noun is not what it happened to.
_WHAT = {
    "handed_in": "evidence handed in to the registry",
    "evidence_refused": "evidence refused by the registry",
}
_SHORT = 12
_LONGEST = 160
_DIGEST = re.compile(r"[0-9a-f]{64}")


Words = Mapping[str, Callable[[Any], str]]
_NO_WORDS: Words = {}


@dataclass(frozen=True)
class Happening:
    """One entry of the trail as a person reads it.

    Attributes
    ----------
    what : str
        Such as ``version promoted``.
    subject : str
        What it is about, as a person calls it.
    changes : list of (str, str, str)
        A field, what it was and what it became.
    """

    at: datetime
    what: str
    subject: str
    actor: str
    roles: str
    reason: str
    changes: list[tuple[str, str, str]]


def events_about(row: BaseModel) -> QuerySet[AuditEvent]:
    """Return the entries of the audit trail about a row."""
    kind = row._meta.label  # noqa: SLF001 - Django's documented Meta API
    return AuditEvent.objects.filter(object_type=kind, object_id=str(row.public_id))


def newest_about(
    row: BaseModel, subject: str, *, only: Collection[str] | None = None,
    words: Words = _NO_WORDS,
) -> list[Happening]:  # fmt: skip
    """Return the newest entries about a row; of their changes, those of the fields in `only`."""
    events = events_about(row).order_by("-at", "-id")[:MOST_EVENTS]
    told = [happening_of(event, subject, words) for event in events]
    if only is None:
        return told
    return [
        replace(one, changes=[change for change in one.changes if change[0] in only])
        for one in told
    ]


def happening_of(event: AuditEvent, subject: str, words: Words = _NO_WORDS) -> Happening:
    """Return one entry, with its subject as the caller calls it.

    Parameters
    ----------
    words : mapping of str to callable
        How values of some fields are told; any other is written as it is kept.
    """
    told = json.loads(event.canonical)
    noun, verb = event.verb.split(".")[-2:]
    what = _WHAT.get(verb, f"{noun} {verb.replace('_', ' ')}")
    return Happening(
        at=event.at, what=what, subject=subject, actor=event.actor,
        roles=", ".join(told["roles"]), reason=event.reason,
        changes=list(_changes(told["before"], told["after"], words)),
    )  # fmt: skip


def kinds_of(pieces: Any) -> str:
    """Return the kinds of several things, which the trail keeps with their digests."""
    return ", ".join(str(piece["kind"]) for piece in pieces)


def _changes(
    before: Mapping[str, Any], after: Mapping[str, Any], words: Words
) -> Iterator[tuple[str, str, str]]:
    """Yield what changed; a field that both sides have alike says what it is about."""
    for field in [*before, *(name for name in after if name not in before)]:
        tell = words.get(field, _text)
        was, became = (
            "" if _is_nothing(side.get(field)) else tell(side[field]) for side in (before, after)
        )
        if was or became:
            yield field.replace("_", " "), "" if was == became else was, became


def _is_nothing(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _text(value: Any) -> str:
    """Write a value so that it fits a cell; digests are told apart by their beginning."""
    if _is_nothing(value):
        return ""
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, Mapping):
        text = ", ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    elif isinstance(value, list):
        text = ", ".join(_text(inner) for inner in value)
    elif isinstance(value, float):
        text = f"{value:.6g}"
    else:
        text = value if isinstance(value, str) else json.dumps(value)
    if _DIGEST.fullmatch(text):
        return f"{text[:_SHORT]}…"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
