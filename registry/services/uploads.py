"""Files handed in under a path, at once or in parts, before a version refers to them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from crowetrade_site.core import audit, canonical, idempotency, roles, spool, storage
from crowetrade_site.core.errors import (
    Conflict,
    DomainError,
    Forbidden,
    InvalidInput,
    translating,
)
from registry import jobs, selectors
from registry.artifacts.errors import ArtifactError
from registry.artifacts.paths import require_safe_path
from registry.models import StoredFile, Upload

REGISTERED = "registered"  # the folder under which versions are read
_LOGGED_MODEL = re.compile(r"(?:^|/)models/(m-[0-9a-f]{32})/artifacts/")


@transaction.atomic(durable=True)
def store_file(*, path: str, sha256: str, n_bytes: int, actor: User, at: datetime) -> StoredFile:
    """Give stored bytes a path; a path that no version refers to yet may be written again.

    The bytes are in the artefact store already, hashed while they arrived.

    Raises
    ------
    Forbidden
        The actor may not register models, or somebody else put a file there (403).
    InvalidInput
        The path leads elsewhere, or is none (422).
    Conflict
        A version refers to the path, a file is where a folder would be, or the same path is being
        written at this moment (409).
    """
    return _store(path, sha256, n_bytes, actor=actor, at=at)


def require_may_store(*, path: str, actor: User, sha256: str = "") -> None:
    """Refuse what `store_file` would refuse, before the bytes are sent; nothing is written.

    Parameters
    ----------
    sha256 : str, optional
        Of the bytes, where it is known: those that are there already may be sent again.

    Raises
    ------
    Forbidden, InvalidInput, Conflict
        As `store_file`.
    """
    _require_path(path, actor)
    known = StoredFile.objects.filter(path=path).first()
    if known is not None and known.sha256 != sha256:
        _require_replaceable(known, actor)


@transaction.atomic(durable=True)
def start_upload(
    *, path: str, n_bytes: int, sha256: str, actor: User, at: datetime, idempotency_key: str = ""
) -> Upload:
    """Announce a file that will arrive in several requests.

    Raises
    ------
    Forbidden, InvalidInput, Conflict
        As `store_file`; it is larger than what is taken, or the digest is none (422).
    DuplicateRequest
        The idempotency key was used for another file (409).
    """
    require_may_store(path=path, actor=actor, sha256=sha256)
    if not 0 <= n_bytes <= settings.MODEL_FILE_MAX_BYTES:
        raise InvalidInput(f"A file has at most {settings.MODEL_FILE_MAX_BYTES} bytes.")
    if not storage.DIGEST.fullmatch(sha256):
        raise InvalidInput(f"{sha256!r} is no SHA-256 in lower-case hexadecimal.")
    told = {"path": path, "n_bytes": n_bytes, "sha256": sha256}
    request = canonical.digest({"verb": "start_upload", **told})
    if earlier := idempotency.recall(actor, idempotency_key, request):
        return selectors.get_upload(earlier, actor)
    upload = Upload.objects.create(started_by=actor, **told)
    idempotency.remember(actor, idempotency_key, request, upload.public_id)
    audit.record("registry.upload.started", upload, actor=actor, at=at, after=told)
    spool.begin(upload.public_id)  # swept away if the transaction fails
    return upload


@transaction.atomic(durable=True)
def complete_upload(*, upload_id: UUID, actor: User, at: datetime) -> Upload:
    """Give the bytes of an upload that are all in the artefact store their path.

    Raises
    ------
    NotFound
        The actor has no such upload (404).
    Forbidden, InvalidInput, Conflict
        As `store_file`.
    """
    upload = selectors.get_upload(upload_id, actor)
    _store(upload.path, upload.sha256, upload.n_bytes, actor=actor, at=at)
    Upload.objects.filter(pk=upload.pk).update(completed_at=at, updated_at=at)
    upload.completed_at = at
    return upload


@transaction.atomic(durable=True)
def abandon_upload(*, upload_id: UUID, actor: User, at: datetime, reason: str) -> None:
    """Give up an upload; what arrived of it is removed, a file that was completed stays.

    Raises
    ------
    NotFound
        The actor has no such upload (404).
    """
    upload = selectors.get_upload(upload_id, actor)
    audit.record(
        "registry.upload.abandoned", upload, actor=actor, at=at, reason=reason,
        before={"path": upload.path, "sha256": upload.sha256, "n_bytes": upload.n_bytes},
    )  # fmt: skip
    upload.delete()
    transaction.on_commit(lambda: spool.remove(upload_id))


def _require_path(path: str, actor: User) -> None:
    roles.require(actor, "models:write")
    with translating(ArtifactError, InvalidInput):
        composed = require_safe_path(path)
    if composed != path:
        raise InvalidInput(f"The path {path!r} is not in Unicode's composed form (NFC).")
    if path.partition("/")[0] == REGISTERED:
        raise InvalidInput(f"The folder {REGISTERED} shows what is registered; choose another.")


def _require_replaceable(known: StoredFile, actor: User) -> None:
    if known.frozen_at is not None:
        raise Conflict(f"A model version refers to {known.path}; its bytes never change.")
    if known.uploaded_by_id != actor.pk:
        raise Forbidden(f"Somebody else put a file at {known.path}.")


def _store(path: str, sha256: str, n_bytes: int, *, actor: User, at: datetime) -> StoredFile:
    _require_path(path, actor)
    known = StoredFile.objects.select_for_update().filter(path=path).first()
    if known is None:
        return _first(path, sha256, n_bytes, actor=actor, at=at)
    if known.sha256 == sha256 and known.n_bytes == n_bytes:
        if known.frozen_at is None:  # it is wanted again: its time to be registered begins anew
            StoredFile.objects.filter(pk=known.pk).update(uploaded_at=at)
        return known
    _require_replaceable(known, actor)
    before = {"sha256": known.sha256, "n_bytes": known.n_bytes}
    jobs.note_loose(known.sha256, at=at)
    known.sha256, known.n_bytes, known.uploaded_at = sha256, n_bytes, at
    known.save(update_fields=["sha256", "n_bytes", "uploaded_at", "updated_at"])
    audit.record(
        "registry.file.replaced", known, actor=actor, at=at, before=before,
        after={"path": path, "sha256": sha256, "n_bytes": n_bytes},
    )  # fmt: skip
    return known


def _first(path: str, sha256: str, n_bytes: int, *, actor: User, at: datetime) -> StoredFile:
    found = _LOGGED_MODEL.search(path)
    _require_place(path)
    try:
        with transaction.atomic():
            stored = StoredFile.objects.create(
                path=path, sha256=sha256, n_bytes=n_bytes, uploaded_by=actor, uploaded_at=at,
                logged_model_id=found[1] if found else "",
            )  # fmt: skip
    except IntegrityError:
        raise Conflict(f"{path} is being written by another request; ask again.") from None
    audit.record(
        "registry.file.stored", stored, actor=actor, at=at,
        after={"path": path, "sha256": sha256, "n_bytes": n_bytes},
    )  # fmt: skip
    return stored


def _require_place(path: str) -> None:
    """Refuse a path that would make a file a folder, or a folder a file."""
    parts = path.split("/")
    folders = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
    if above := StoredFile.objects.filter(path__in=folders).first():
        raise Conflict(f"{above} is a file; nothing lies under it.")
    if StoredFile.objects.filter(path__startswith=f"{path}/").exists():
        raise Conflict(f"{path} is a folder.")


@transaction.atomic(durable=True)
def release_object(*, sha256: str, at: datetime) -> None:
    """Note bytes that are in the store and were refused a name: they may go after a grace.

    No entry of the trail: the refusal is one of the request, and nothing was registered.
    """
    jobs.note_loose(sha256, at=at)


@contextmanager
def loose_if_refused(digest: str, *, at: datetime) -> Iterator[None]:
    """Have bytes collected that are stored and get no name; a crash here leaves them for ever."""
    try:
        yield
    except DomainError:
        release_object(sha256=digest, at=at)
        raise


def collect_files(
    *, actor: User, at: datetime, reason: str, in_use: "jobs.InUse", is_dry: bool = False
) -> "jobs.Collected":
    """Remove files that nobody registered in time, each with its entry; versions keep theirs.

    Not one transaction but one a file: the store cannot take back what it removed.

    Raises
    ------
    Forbidden, InvalidInput
        The actor may not (403), no reason was given (422).
    Unavailable
        The store does not answer; what was removed until then is recorded (503).
    """
    roles.require(actor, "models:operate")
    if not is_dry and not reason.strip():
        raise InvalidInput("Say why: a reason is kept with every file that is removed.")
    return jobs.collect_files(at=at, in_use=in_use, actor=actor, reason=reason, is_dry=is_dry)


def collect_files_by_rule(*, at: datetime, in_use: "jobs.InUse") -> "jobs.Collected":
    """Do the same by the rule alone; called by the beat's job, not by people."""
    return jobs.collect_files(at=at, in_use=in_use)
