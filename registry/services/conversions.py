"""Converting quarantined pickles to skops: asked for here, done by a worker in the sandbox."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from crowetrade_site.core import audit, canonical, idempotency
from crowetrade_site.core.errors import Conflict, InvalidInput
from registry import selectors, tasks
from registry.artifacts.contents import Format
from registry.lifecycle import ConversionStatus, VersionStatus
from registry.models import Conversion
from registry.services.steps import require_author, require_sound

MOST_ROWS = 1000
MOST_COLUMNS = 10_000


@transaction.atomic(durable=True)
def convert_version(
    *, version_id: UUID, rows: Sequence[Any], actor: User, at: datetime, idempotency_key: str = ""
) -> Conversion:
    """Ask for a quarantined pickle to become a skops file, as a new version in development.

    Parameters
    ----------
    rows : sequence of rows
        Probe rows, 1 to 1,000: lists of values, or mappings of column names to values. Both models
        predict them; only where every bit agrees there is a new version.

    Raises
    ------
    NotFound, Forbidden
        No such version (404), neither author nor owner (403).
    InvalidInput
        The rows are none (422).
    Conflict, DuplicateRequest
        It is no pickle in quarantine, compromised, being converted, or was converted (409).
    """
    version = selectors.get_version(version_id)
    require_author(version, actor)
    plain = _checked(rows)
    asked = canonical.digest({"verb": "convert", "version": str(version_id), "rows": repr(plain)})
    if earlier := idempotency.recall(actor, idempotency_key, asked):
        return selectors.get_conversion(earlier)
    require_sound(version)
    if version.status != VersionStatus.QUARANTINED or version.format != Format.PICKLE:
        raise Conflict(f"{version} is {version.status}; pickles in quarantine are converted.")
    done = version.conversions.filter(status=ConversionStatus.DONE).select_related("result").first()
    if done is not None and done.result is not None:
        raise Conflict(
            f"{version} was converted before: see version {done.result.number}.",
            result=str(done.result.public_id),
        )
    try:
        with transaction.atomic():
            made = Conversion.objects.create(version=version, rows=plain, requested_by=actor)
    except IntegrityError:
        raise Conflict(f"{version} is being converted already.") from None
    idempotency.remember(actor, idempotency_key, asked, made.public_id)
    audit.record(
        "registry.conversion.requested", version, actor=actor, at=at,
        after={"conversion": str(made.public_id), "n_rows": len(plain), "digest": version.digest},
    )  # fmt: skip
    transaction.on_commit(lambda: tasks.publish_conversion(made.public_id))
    return made


def _checked(rows: Sequence[Any]) -> list[Any]:
    """Return rows as plain values of one width."""
    if isinstance(rows, str | bytes) or not 1 <= len(rows) <= MOST_ROWS:
        raise InvalidInput(f"A conversion is checked on 1 to {MOST_ROWS} rows.")
    if all(isinstance(row, Mapping) for row in rows):
        widths = {tuple(sorted(map(str, row))) for row in rows}
        plain: list[Any] = [{str(name): _value(value) for name, value in r.items()} for r in rows]
    elif all(isinstance(row, Sequence) and not isinstance(row, str | bytes) for row in rows):
        widths = {(str(len(row)),) for row in rows}
        plain = [[_value(value) for value in row] for row in rows]
    else:
        raise InvalidInput("Rows are lists of values, or objects with a value by column.")
    if len(widths) != 1 or not 1 <= len(plain[0]) <= MOST_COLUMNS:
        raise InvalidInput("All rows have the same columns, one at least.")
    return plain


def _value(value: Any) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return float(value)
    raise InvalidInput(f"A value in a row is a number, a text or null, not {value!r:.50}.")
