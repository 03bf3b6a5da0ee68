"""What is said of a value that is none of those a field takes: all of them, and the nearest."""

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ErrorDetail

from crowetrade_site.core import hints

# The code of the frameworks for it, of serializers as of forms.
UNKNOWN = "invalid_choice"


def listing_choices(field: Any, sent: Any, detail: Any) -> Any:
    """Return a field's faults, those of values nobody knows with the values that there are.

    Parameters
    ----------
    field : field or serializer of Django REST framework, or form field
        What refused the value; a serializer is followed into its fields, a list into its items.
    sent : object
        The value as it came.
    detail : dict, list or ErrorDetail
        The faults as the framework tells them, keyed by field or place below the first level.
    """
    if isinstance(detail, Mapping):
        return {
            name: listing_choices(_field_at(field, name), _part_of(sent, name), inner)
            for name, inner in detail.items()
        }
    if isinstance(detail, list):
        nested = any(not isinstance(one, ErrorDetail) for one in detail)
        return [
            listing_choices(
                _field_at(field, place) if nested else field,
                _part_of(sent, place) if nested else sent,
                one,
            )
            for place, one in enumerate(detail)
        ]
    known = _names(field)
    if detail.code != UNKNOWN or not known:
        return detail
    values = sent if isinstance(sent, list) else [sent]
    unknown = next((str(one) for one in values if str(one) not in known), str(sent))
    return ErrorDetail(unknown_choice(unknown, known), code=UNKNOWN)


def unknown_choice(value: str, known: list[str]) -> str:
    """Return what is said of a value that is none of the known ones, kept in their order."""
    more = f", … ({len(known)} in all)" if len(known) > hints.SHOWN else ""
    there = f"{', '.join(known[: hints.SHOWN])}{more}"
    return f"{hints.shown(value)!r} is none of {there}{hints.closest(value, known) or '.'}"


def _names(field: Any) -> list[str]:
    """Return the values of a field of choices as text; of a form's also without its empty one."""
    choices = getattr(field, "choices", None)
    if choices is None:
        return []
    values = choices if isinstance(choices, Mapping) else (value for value, _ in choices)
    return [str(value) for value in values if value not in ("", None)]


def _field_at(field: Any, name: Any) -> Any:
    """Return the field below a serializer or a list; None below anything else."""
    fields = getattr(field, "fields", None)
    return fields.get(name) if fields is not None else getattr(field, "child", None)


def _part_of(sent: Any, name: Any) -> Any:
    """Return what was sent for a field or at a place; None where nothing was."""
    if isinstance(sent, Mapping):
        return sent.get(name)
    is_place = isinstance(sent, list) and isinstance(name, int) and name < len(sent)
    return sent[name] if is_place else None
