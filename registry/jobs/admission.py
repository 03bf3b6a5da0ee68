"""Worker-side verbs of the registry: look at the files that were handed in.

The row of a version is the queue of record, as that of a run is: claimed by compare-and-set, held
by a lease, and written once, under the number of the attempt.
"""

import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from crowetrade_site.core import audit, storage
from crowetrade_site.core.errors import Corrupted, DomainError
from registry.artifacts import sandbox
from registry.artifacts.contents import Format
from registry.artifacts.errors import ArtifactError
from registry.artifacts.findings import Decision, Finding
from registry.artifacts.formats import Verdict, inspect_folder
from registry.artifacts.frameworks import framework_of
from registry.artifacts.loading import parameters_of
from registry.artifacts.manifest import Manifest, read_verified
from registry.artifacts.revision import scanner_revision
from registry.artifacts.sandbox import Probe, ProbeStatus
from registry.artifacts.trusted import TRUSTED_TYPES
from registry.lifecycle import VersionStatus
from registry.models import ModelVersion
from registry.querysets import ModelVersionQuerySet
from registry.rules import signatures
from registry.rules.errors import RuleError
from registry.selectors import manifest_of, trusted_types_of

Reader = Callable[[Mapping[str, Any]], list[str]]

logger = logging.getLogger(__name__)
LEASE = timedelta(seconds=600)  # more than two looks that end by the clock
REPUBLISH_AFTER = timedelta(seconds=60)
MOST_ATTEMPTS = 3
PROBED = (Format.SKOPS, Format.ONNX, Format.PICKLE)
STATUS_OF = {
    Decision.ACCEPTED: VersionStatus.READY,
    Decision.QUARANTINED: VersionStatus.QUARANTINED,
    Decision.REFUSED: VersionStatus.REFUSED,
}
_readers: list[Reader] = []


def read_parameters_with(reader: Reader) -> None:
    """Have an app that uses files of parameters say, at admission, what it could not use.

    The registry does not know what parameters are for: it hands the document up, and keeps the
    sentences that come back as findings. They refuse nothing.
    """
    if reader not in _readers:
        _readers.append(reader)


def admit_version(*, version_id: UUID) -> None:
    """Look at the files of a pending version and record what they are.

    Idempotent: a second message finds the version claimed, or no longer pending. A store that does
    not answer leaves the lease to expire, and the beat speaks of the version again.
    """
    version = _claim(version_id)
    if version is None:
        return
    try:
        with materialized(version) as folder:
            manifest = manifest_of(version)
            trusted = trusted_types_of(version.registered_model.desk)
            verdict, probe = examine(folder, manifest, trusted)
            added = added_types(folder, manifest, trusted)
            framework = _framework(version, folder, manifest, verdict)
            _record(version, verdict, probe, added, framework)
    except (ArtifactError, Corrupted) as refusal:
        _refuse(version, str(refusal))
    except DomainError:
        raise  # the store is away
    except Exception as error:
        if version.attempt >= MOST_ATTEMPTS:
            _refuse(version, f"The files could not be looked at: {type(error).__name__}.")
        raise


def examine(
    folder: Path, manifest: Manifest, trusted: Collection[str]
) -> tuple[Verdict, Probe | None]:
    """Look at files by the rules of today, and open the model once in the sandbox.

    Raises
    ------
    ArtifactError
        A file is not there, or is not what the manifest says.
    """
    verdict = inspect_folder(folder, manifest, trusted=trusted)
    verdict = _with_remarks(folder, manifest, verdict)
    return verdict, _probe(folder, manifest, verdict, trusted)


def stalled_versions() -> list[UUID]:
    """Return pending versions that need a message: theirs, or their worker, was lost."""
    at = timezone.now()
    untold = Q(lease_expires_at=None) & (
        Q(published_at=None) | Q(published_at__lt=at - REPUBLISH_AFTER)
    )
    waiting = ModelVersion.objects.pending().filter(untold | Q(lease_expires_at__lt=at))
    return list(waiting.order_by("pk").values_list("public_id", flat=True)[:1000])


@contextmanager
def materialized(version: ModelVersion) -> Iterator[Path]:
    """Give a private folder with the verified files of a version under their own paths.

    Raises
    ------
    NotFound, Corrupted
        A file is not in the store, or holds other bytes, or the manifest is of other files than
        the version's digest (404, 409).
    """
    root = Path(settings.ARTIFACT_CACHE)
    root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="version-", dir=root) as folder:
        for entry in manifest_of(version).files:
            target = Path(folder, entry.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            _link_or_copy(storage.locate(entry.sha256), target)
        yield Path(folder)


def _link_or_copy(stored: Path, target: Path) -> None:
    try:
        os.link(stored, target)
    except OSError:  # another file system
        shutil.copyfile(stored, target)


def _claim(version_id: UUID) -> ModelVersion | None:
    at = timezone.now()
    free = ModelVersion.objects.pending().filter(
        Q(lease_expires_at=None) | Q(lease_expires_at__lt=at), public_id=version_id
    )
    if not free.update(attempt=F("attempt") + 1, lease_expires_at=at + LEASE):
        return None
    return ModelVersion.objects.with_names().get(public_id=version_id)


def _held(version: ModelVersion) -> ModelVersionQuerySet:
    """Return the row as long as this attempt holds it: the fence round the one write."""
    return ModelVersion.objects.pending().filter(pk=version.pk, attempt=version.attempt)


def added_types(folder: Path, manifest: Manifest, trusted: Collection[str]) -> list[str]:
    """Return the types that only the desk's list lets pass: what ends with its approval."""
    if not set(trusted) > TRUSTED_TYPES:
        return []
    findings = inspect_folder(folder, manifest).findings
    return sorted({one.text for one in findings if one.code == "untrusted_type"})


def _with_remarks(folder: Path, manifest: Manifest, verdict: Verdict) -> Verdict:
    """Add what those who use parameters say of them."""
    entry = manifest.get(verdict.model_path)
    if verdict.format != Format.PARAMETERS or verdict.decision != Decision.ACCEPTED or not entry:
        return verdict
    document = parameters_of(read_verified(folder, entry))
    remarks = [
        Finding("faulty_document", entry.path, text)
        for reader in _readers
        for text in reader(document)
    ]
    return replace(verdict, findings=(*verdict.findings, *remarks))


def _framework(
    version: ModelVersion, folder: Path, manifest: Manifest, verdict: Verdict
) -> dict[str, Any]:
    """Return what was told of a version and what its files say they were made with."""
    found = dict(version.framework)
    if verdict.mlmodel is not None:
        found |= verdict.mlmodel.to_json()
    entry = manifest.get(verdict.model_path)
    if verdict.decision != Decision.REFUSED and entry is not None:
        found |= framework_of(folder, entry, verdict.format)
    return found


def _probe(
    folder: Path, manifest: Manifest, verdict: Verdict, trusted: Collection[str]
) -> Probe | None:
    """Open the model once where it can do no harm; None for what only numbers are read from."""
    entry = manifest.get(verdict.model_path)
    if verdict.decision == Decision.REFUSED or entry is None or verdict.format not in PROBED:
        return None
    return sandbox.probe(folder, entry, verdict.format, opens_pickles=True, trusted=trusted)


def _record(
    version: ModelVersion, verdict: Verdict, probe: Probe | None, added: list[str],
    framework: dict[str, Any],
) -> None:  # fmt: skip
    if probe is not None and not probe.is_opened:
        _record_unopened(version, probe)
        return
    note = f"{verdict.summary} {probe.reason if probe else ''}".strip()
    fields: dict[str, Any] = {
        "format": verdict.format, "model_path": verdict.model_path,
        "findings": [finding.to_json() for finding in verdict.findings],
        "status_message": note[:2000], "trusted_types": added, "framework": framework,
    }  # fmt: skip
    if not version.signature and (signature := _signature(verdict)):
        fields["signature"] = signature
    _finish(version, STATUS_OF[verdict.decision], fields)


def _record_unopened(version: ModelVersion, probe: Probe) -> None:
    """Refuse what does not open, or leave it to a later attempt where the machine was at fault."""
    if probe.status == ProbeStatus.PENDING:
        # No attempt was made, so none is counted: the next claim takes this number again.
        waits = f"No sandbox to open it in: {probe.reason}"
        _release(version, waits, attempt=version.attempt - 1)
    elif probe.status != ProbeStatus.LATE:
        _refuse(version, f"It does not open in the sandbox: {probe.reason}")
    elif version.attempt < MOST_ATTEMPTS:
        tried = f"attempt {version.attempt} of {MOST_ATTEMPTS}"
        _release(version, f"Out of time in the sandbox, {tried}: {probe.reason}.")
    else:
        _refuse(
            version,
            f"Out of time in the sandbox in {version.attempt} attempts, which says nothing "
            f"against the files: {probe.reason}. Register them again when the machine has less "
            "to do.",
        )  # fmt: skip


def _release(version: ModelVersion, why: str, **more: Any) -> None:
    """Give a version back to the queue: the beat speaks of it again."""
    _held(version).update(
        lease_expires_at=None, published_at=timezone.now(), status_message=why[:2000], **more
    )


def _signature(verdict: Verdict) -> dict[str, Any]:
    """Return what the files say goes in and comes out, if it is what a request could say."""
    said = verdict.signature or {}
    try:
        signatures.require_signature(said)
    except RuleError:
        return {}
    return said


def _refuse(version: ModelVersion, why: str) -> None:
    finding = {"code": "unreadable", "path": "", "text": why}
    _finish(version, VersionStatus.REFUSED, {"status_message": why[:2000], "findings": [finding]})


def _finish(version: ModelVersion, status: VersionStatus, fields: dict[str, Any]) -> None:
    at = timezone.now()
    with transaction.atomic():
        won = _held(version).update(
            **fields, status=status, scanned_by=scanner_revision(), lease_expires_at=None,
            changed_at=at, updated_at=at,
        )  # fmt: skip
        if not won:
            logger.warning("Another worker has looked at the version")
            return
        audit.record(
            f"registry.version.{_VERBS[status]}", version, actor=None, at=at,
            reason=fields["status_message"], before={"status": VersionStatus.PENDING},
            after={
                "status": status, "findings": fields["findings"], "digest": version.digest,
                "scanned_by": scanner_revision(),
            },
        )  # fmt: skip


_VERBS = {
    VersionStatus.READY: "admitted",
    VersionStatus.QUARANTINED: "quarantined",
    VersionStatus.REFUSED: "refused",
}
