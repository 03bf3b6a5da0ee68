"""Conversions of models to other formats."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import QuerySet

from crowetrade_site.core.errors import NotFound
from registry.artifacts.contents import Format
from registry.artifacts.convert import SOURCES
from registry.lifecycle import ConversionStatus, ConversionTarget, MissingValues, VersionStatus
from registry.models import Conversion, ModelVersion


def list_conversions() -> QuerySet[Conversion]:
    """Return every conversion, with its version, its result and who asked for it."""
    return Conversion.objects.select_related(
        "version__registered_model", "result__registered_model", "requested_by"
    )


def waits_for_worker(version: ModelVersion, conversions: Iterable[Conversion]) -> bool:
    """Say whether a worker has yet to look at a version's files, or to convert them."""
    is_pending = version.status == VersionStatus.PENDING
    return is_pending or any(one.status == ConversionStatus.QUEUED for one in conversions)


def may_become(version: ModelVersion, target: ConversionTarget) -> bool:
    """Say whether a version is of a state and format that is converted to another."""
    sources = {VersionStatus.QUARANTINED: Format.PICKLE, VersionStatus.READY: Format.SKOPS}
    source = sources.get(VersionStatus(version.status))
    return source is not None and version.format == source and source in SOURCES[Format(target)]


def agreement_in_words(conversion: Conversion) -> str:
    """Return how far the predictions of a conversion that is done are apart, in a sentence."""
    found = conversion.agreement
    n_rows = found.get("n_rows", len(conversion.rows))
    rows = f"{n_rows} row{'' if n_rows == 1 else 's'}"
    if conversion.missing_values == MissingValues.REFUSE:
        rows = f"{n_rows} complete row{'' if n_rows == 1 else 's'}"
    if not found.get("max_abs_difference"):
        return f"predicts the same, bit for bit, on {rows}.{_not_covered(conversion)}"
    said = (
        f"predicts the same within {found['tolerance']:g} of the usual size on {rows}; they are "
        f"{found['max_abs_difference']:.2g} apart at most"
    )
    differing = found.get("n_decisions_differing")
    decisions = "" if differing is None else f", and {differing} decisions are others"
    return f"{said}{decisions}.{_not_covered(conversion)}"


def _not_covered(conversion: Conversion) -> str:
    if conversion.missing_values != MissingValues.REFUSE:
        return ""
    return " Rows with missing values are not covered: it takes none."


def get_conversion(conversion_id: UUID) -> Conversion:
    """Return a conversion.

    Raises
    ------
    NotFound
        There is none (404).
    """
    found = list_conversions().filter(public_id=conversion_id).first()
    if found is None:
        raise NotFound(f"There is no conversion {conversion_id}.")
    return found
