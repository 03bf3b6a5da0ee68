"""Converting models to skops or ONNX: asked for here, done by a worker in the sandbox."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from crowetrade_site.core import audit, canonical, idempotency
from crowetrade_site.core.errors import Conflict, InvalidInput
from registry import selectors, tasks
from registry.lifecycle import ConversionStatus, ConversionTarget, MissingValues
from registry.models import Conversion, ModelVersion
from registry.services.steps import require_author, require_contributor, require_sound

MOST_ROWS = 1000
MOST_COLUMNS = 10_000
CONVERTED = {
    ConversionTarget.SKOPS: "pickles in quarantine are converted to skops",
    ConversionTarget.ONNX: "pickles in quarantine and skops models that are ready become ONNX",
}


@transaction.atomic(durable=True)
def convert_version(
    *, version_id: UUID, rows: Sequence[Any], actor: User, at: datetime,
    target: ConversionTarget = ConversionTarget.SKOPS,
    missing_values: MissingValues = MissingValues.COMPARE, idempotency_key: str = "",
) -> Conversion:  # fmt: skip
    """Ask for a model to become another file, as a new version in development.

    A quarantined pickle becomes skops or ONNX, a skops model ONNX.

    Parameters
    ----------
    rows : sequence of rows
        Probe rows, 1 to 1,000: lists of values, or mappings of column names to values; of numbers
        and null alone for ONNX. Both models predict them; only where every bit agrees, or for ONNX
        every decision and each value within the tolerance, there is a new version.
    missing_values : MissingValues
        ``refuse`` for ONNX: rows with gaps are not compared, and the new version takes none.

    Raises
    ------
    NotFound, Forbidden
        No such version (404), neither author nor owner, or nobody who registers versions of the
        model any more (403).
    InvalidInput
        The rows are none (422).
    Conflict, DuplicateRequest
        It is of another format, compromised, being converted, or was converted (409).
    """
    version = selectors.get_version(version_id)
    require_author(version, actor)
    require_contributor(version.registered_model, actor)  # what comes of it is a version, too
    plain = _checked(rows)
    if target == ConversionTarget.ONNX:
        _require_numbers(plain)
    if missing_values == MissingValues.REFUSE:
        _require_complete(plain, target)
    asked = canonical.digest(
        {
            "verb": "convert", "version": str(version_id), "rows": repr(plain),
            "target": str(target),
            **({} if missing_values == MissingValues.COMPARE else {"missing_values": "refuse"}),
        }
    )  # fmt: skip
    if earlier := idempotency.recall(actor, idempotency_key, asked):
        return selectors.get_conversion(earlier)
    require_sound(version)
    if not selectors.may_become(version, target):
        raise Conflict(
            f"{version} is {version.status} and of the format {version.format or 'unknown'}; "
            f"{CONVERTED[target]}."
        )
    _require_new(version, target, missing_values)
    try:
        with transaction.atomic():
            made = Conversion.objects.create(
                version=version, target=target, missing_values=missing_values, rows=plain,
                requested_by=actor,
            )  # fmt: skip
    except IntegrityError:
        raise Conflict(f"{version} is being converted already.") from None
    idempotency.remember(actor, idempotency_key, asked, made.public_id)
    audit.record(
        "registry.conversion.requested", version, actor=actor, at=at,
        after={
            "conversion": str(made.public_id), "target": str(target), "n_rows": len(plain),
            "missing_values": str(missing_values), "digest": version.digest,
        },
    )  # fmt: skip
    transaction.on_commit(lambda: tasks.publish_conversion(made.public_id))
    return made


def _require_new(
    version: ModelVersion, target: ConversionTarget, missing_values: MissingValues
) -> None:
    done = version.conversions.filter(
        status=ConversionStatus.DONE, target=target,
        # one of complete rows alone is no reason against one of all rows
        missing_values__in={missing_values, MissingValues.COMPARE},
    )  # fmt: skip
    made = done.exclude(result=None).select_related("result").order_by("missing_values").first()
    if made is not None and made.result is not None:
        raise Conflict(
            f"{version} was converted to {target} before: see version {made.result.number}.",
            result=str(made.result.public_id),
        )


def _require_numbers(rows: Sequence[Any]) -> None:
    """Refuse what a graph of one input has no place for."""
    if any(isinstance(row, Mapping) for row in rows):
        raise InvalidInput(
            "A model is converted to ONNX with one input of numbers: rows are lists, not objects. "
            "Fit it on an array without column names, or convert it to skops."
        )
    if any(isinstance(value, str) for row in rows for value in row):
        raise InvalidInput(
            "A model is converted to ONNX with one input of numbers: rows hold no texts. "
            "Convert it to skops."
        )


def _require_complete(rows: Sequence[Any], target: ConversionTarget) -> None:
    if target != ConversionTarget.ONNX:
        raise InvalidInput.at(
            "missing_values",
            "a model that becomes skops does with gaps what it always did; refuse is for onnx.",
        )
    for number, row in enumerate(rows):
        if any(value is None or math.isnan(value) for value in row):
            raise InvalidInput.at(
                f"rows.{number}",
                "a value is missing, and missing_values: refuse compares complete rows alone. "
                "Leave the row out, or fill its gap.",
            )


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
