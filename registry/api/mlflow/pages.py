"""Searches page by page: tokens that name the last row, and that this server signed.

A token goes on behind the row it names, whatever was registered or deleted meanwhile; it belongs to
its filter and order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from django.core import signing

from crowetrade_site.core import canonical
from crowetrade_site.core.errors import InvalidInput, translating
from registry.models import RegisteredModel
from registry.rules import filters
from registry.rules.errors import RuleError
from registry.rules.filters import Clause, Grammar, Order
from registry.selectors.searching import ListedVersion, Search

_SALT = "registry.mlflow.pages"
_TIMES = ("creation_timestamp", "last_updated_timestamp")
_Row = TypeVar("_Row", RegisteredModel, ListedVersion)


def search(
    asked: Mapping[str, Any], grammar: Grammar, find: Callable[[Search], list[_Row]],
    localized: Callable[[str], str] = str,
) -> tuple[list[_Row], str]:  # fmt: skip
    """Return one page of what a search finds, and the token of the next; "" where there is none.

    Parameters
    ----------
    localized : callable
        Of the address of a source, what is stored of it.

    Raises
    ------
    InvalidInput
        The filter, the order or the token is none (INVALID_PARAMETER_VALUE).
    """
    with translating(RuleError, InvalidInput):
        clauses = filters.parse_filter(asked["filter"], grammar)
        order = filters.parse_order(asked["order_by"], grammar)
    bound = canonical.digest({"of": grammar.what, "asked": [asked["filter"], *asked["order_by"]]})
    after = _values(asked["page_token"], order, bound) if asked["page_token"] else ()
    limit = asked["max_results"]
    stored = [_stored(clause, localized) for clause in clauses]
    rows = find(Search(stored, order, after, limit + 1))
    if len(rows) <= limit:
        return rows, ""
    return rows[:limit], _token(rows[limit - 1], order, bound)


def _stored(clause: Clause, localized: Callable[[str], str]) -> Clause:
    if clause.is_tag or clause.field != "source_path":
        return clause
    return replace(clause, value=localized(str(clause.value)))


def _token(row: RegisteredModel | ListedVersion, order: Sequence[Order], bound: str) -> str:
    values = [_value(row, by.field) for by in order]
    return signing.dumps([bound, *values, row.pk], salt=_SALT, compress=True)


def _value(row: RegisteredModel | ListedVersion, field: str) -> Any:
    if field == "version_number" and isinstance(row, ListedVersion):
        return row.number
    if field == "name":
        return row.model_name if isinstance(row, ListedVersion) else row.name
    moment = row.created_at if field == "creation_timestamp" else row.changed_at
    return moment.isoformat()


def _values(token: str, order: Sequence[Order], bound: str) -> tuple[Any, ...]:
    try:
        told, *values = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        raise InvalidInput("The page token is not one of this server's.") from None
    if told != bound:
        raise InvalidInput("The page token belongs to another filter or order.")
    fields = [by.field for by in order] + ["key"]
    return tuple(
        datetime.fromisoformat(value) if field in _TIMES else value
        for field, value in zip(fields, values, strict=True)
    )
