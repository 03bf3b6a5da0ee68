"""Converting a model in the sandbox, and registering what comes out.

The row of a conversion is the queue of record, as that of a version is.
"""

import logging
import math
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from crowetrade_site.core import audit, storage
from crowetrade_site.core.errors import Corrupted, DomainError
from registry.artifacts.contents import Format
from registry.artifacts.convert import Conversion as Converted
from registry.artifacts.convert import convert
from registry.artifacts.errors import ArtifactError
from registry.artifacts.manifest import FileEntry, Manifest
from registry.artifacts.sandbox import ProbeStatus
from registry.jobs.admission import LEASE, MOST_ATTEMPTS, materialized
from registry.lifecycle import (
    CONVERSIONS,
    ConversionStatus,
    ConversionTarget,
    MissingValues,
    VersionStatus,
)
from registry.models import Conversion, ModelVersion, RegisteredModel, StoredFile
from registry.selectors import (
    agreement_in_words,
    list_conversions,
    manifest_of,
    trusted_types_of,
)

logger = logging.getLogger(__name__)
OPENED = (VersionStatus.QUARANTINED, VersionStatus.READY)
ASK_AGAIN_AFTER = timedelta(seconds=60)
_KEPT = (
    "parameters", "metrics", "datasets", "code_revision", "run_id", "run_link", "signature", "tags",
)  # fmt: skip


def convert_version(*, conversion_id: UUID) -> UUID | None:
    """Convert what was asked for; return the new version, of which a message must speak.

    Idempotent: a second message finds the conversion claimed or over. A store that is away, and a
    machine without a sandbox, leave it queued.
    """
    conversion = _claim(conversion_id)
    if conversion is None:
        return None
    version = conversion.version
    try:
        if version.compromised_at or version.status not in OPENED:
            _fail(conversion, f"{version} may not be opened any more.")
            return None
        with materialized(version) as folder:
            entry = manifest_of(version).get(version.model_path)
            if entry is None:
                _fail(conversion, "The version has no model file.")
                return None
            trusted = trusted_types_of(version.registered_model.desk)
            converted = convert(
                folder, entry, Format(conversion.target), rows=conversion.rows,
                source=Format(version.format), trusted=trusted,
                refuses_missing=conversion.missing_values == MissingValues.REFUSE,
            )  # fmt: skip
        return _settle(conversion, converted, entry.path)
    except (ArtifactError, Corrupted) as refusal:
        _fail(conversion, str(refusal))
        return None
    except DomainError:
        raise  # the store is away
    except Exception as error:
        if conversion.attempt >= MOST_ATTEMPTS:
            _fail(conversion, f"It could not be converted: {type(error).__name__}.")
        raise


def stalled_conversions() -> list[UUID]:
    """Return conversions that need a message: theirs, or their worker, was lost."""
    at = timezone.now()
    untold = Q(lease_expires_at=None) & (
        Q(published_at=None) | Q(published_at__lt=at - ASK_AGAIN_AFTER)
    )
    waiting = _queued().filter(untold | Q(lease_expires_at__lt=at))
    return list(waiting.order_by("pk").values_list("public_id", flat=True)[:1000])


def _queued() -> QuerySet[Conversion]:
    return Conversion.objects.filter(status=ConversionStatus.QUEUED)


def _claim(conversion_id: UUID) -> Conversion | None:
    at = timezone.now()
    free = _queued().filter(
        Q(lease_expires_at=None) | Q(lease_expires_at__lt=at), public_id=conversion_id
    )
    if not free.update(attempt=F("attempt") + 1, lease_expires_at=at + LEASE):
        return None
    return list_conversions().select_related("version__created_by").get(public_id=conversion_id)


def _held(conversion: Conversion) -> QuerySet[Conversion]:
    return _queued().filter(pk=conversion.pk, attempt=conversion.attempt)


def _settle(conversion: Conversion, converted: Converted, path: str) -> UUID | None:
    probe = converted.probe
    if probe.status == ProbeStatus.PENDING:
        _held(conversion).update(
            lease_expires_at=None, published_at=timezone.now(), reason=probe.reason
        )
        return None
    conversion.agreement = _told(converted, conversion)
    if not converted.content:
        _fail(conversion, f"{_why_not(converted)}{_what_then(converted, conversion)}")
        return None
    place = f"{PurePosixPath(path).stem or 'model'}.{conversion.target}"
    described = converted.describe(Format(conversion.target))
    entry = FileEntry(place, storage.put(converted.content), len(converted.content))
    return _register(conversion, entry, described)


def _told(converted: Converted, conversion: Conversion) -> dict[str, Any]:
    found = converted.probe.agreement
    if found is None:
        return {}
    told = found.document() | {"tolerance": converted.tolerance}
    if conversion.target == ConversionTarget.ONNX:
        told["missing_values"] = conversion.missing_values
    return told


def _why_not(converted: Converted) -> str:
    found = converted.probe.agreement
    if not converted.probe.is_opened or found is None:
        return converted.probe.reason or "It does not open in the sandbox."
    if not math.isfinite(found.max_rel_difference):
        return "The converted model predicts something else: other labels, shapes or gaps."
    allowed = f"{converted.tolerance:g} is allowed" if converted.tolerance else "none is allowed"
    said = (
        f"Predictions differ by up to {found.max_abs_difference:.3g} on {found.n_rows} rows, "
        f"{found.max_rel_difference:.3g} of the usual size; {allowed}."
    )
    if found.n_decisions_differing:
        said += f" {found.n_decisions_differing} of {found.n_rows} decisions are others."
    return said


def _what_then(converted: Converted, conversion: Conversion) -> str:
    """Return the way out that is left where gaps were compared."""
    found = converted.probe.agreement
    if found is None or found.n_rows <= len(conversion.rows):
        return ""
    return (
        f" {found.n_rows - len(conversion.rows)} of the rows have missing values; if production "
        "has none, ask for missing_values: refuse, which compares complete rows alone."
    )


def _register(conversion: Conversion, entry: FileEntry, described: dict[str, Any]) -> UUID | None:
    """Write the new version, by the author of the old one: whoever converts adds nothing."""
    at, old = timezone.now(), conversion.version
    manifest = Manifest.of([entry])
    try:
        with transaction.atomic():
            CONVERSIONS.check(ConversionStatus(conversion.status), ConversionStatus.DONE)
            if not _held(conversion).update(
                status=ConversionStatus.DONE, finished_at=at, lease_expires_at=None, reason="",
                updated_at=at, agreement=conversion.agreement,
            ):  # fmt: skip
                logger.warning("Another worker has converted the version")
                return None
            StoredFile.objects.create(
                path=f"converted/{uuid4()}/{entry.path}", sha256=entry.sha256,
                n_bytes=entry.n_bytes, uploaded_by=old.created_by, uploaded_at=at, frozen_at=at,
            )  # fmt: skip
            made = _new_version(old, manifest, conversion, described)
            Conversion.objects.filter(pk=conversion.pk).update(result=made)
            audit.record(
                "registry.version.converted", made, actor=conversion.requested_by, at=at,
                after={
                    "model": old.registered_model.name, "number": made.number,
                    "digest": made.digest, "converted_from": str(old.public_id),
                    "n_rows": len(conversion.rows), "conversion": str(conversion.public_id),
                    "target": conversion.target, "agreement": conversion.agreement,
                    "missing_values": conversion.missing_values,
                },
            )  # fmt: skip
    except IntegrityError:
        _fail(conversion, "The model has a version of exactly this file.")
        return None
    return made.public_id


def _new_version(
    old: ModelVersion, manifest: Manifest, conversion: Conversion, described: dict[str, Any]
) -> ModelVersion:
    at, model = timezone.now(), old.registered_model
    return ModelVersion.objects.create(
        registered_model=model, number=RegisteredModel.objects.take_number(model.pk, at),
        stage_changed_at=at, changed_at=at, digest=manifest.version_digest,
        manifest=manifest.to_json(), n_files=len(manifest.files),
        n_bytes=sum(entry.n_bytes for entry in manifest.files), copied_from=old,
        source=f"models:/{model.name}/{old.number}", created_by=old.created_by,
        description=f"Version {old.number} as {conversion.target}: "
        f"{agreement_in_words(conversion)}",
        **({name: getattr(old, name) for name in _KEPT} | described),
    )  # fmt: skip


def _fail(conversion: Conversion, reason: str) -> None:
    at = timezone.now()
    with transaction.atomic():
        if _held(conversion).update(
            status=ConversionStatus.FAILED, finished_at=at, lease_expires_at=None,
            reason=reason[:2000], updated_at=at, agreement=conversion.agreement,
        ):  # fmt: skip
            audit.record(
                "registry.conversion.failed", conversion.version, actor=None, at=at,
                reason=reason[:2000],
                after={
                    "conversion": str(conversion.public_id), "target": conversion.target,
                    "agreement": conversion.agreement,
                },
            )  # fmt: skip
