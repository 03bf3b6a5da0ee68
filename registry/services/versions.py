"""Versions: registered from files that were handed in, described, held, waived, deleted."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from crowetrade_site.core import audit, canonical, idempotency, roles
from crowetrade_site.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Unconfirmed,
    translating,
)
from registry import jobs, selectors, tasks
from registry.artifacts.errors import ArtifactError
from registry.artifacts.manifest import FileEntry, Manifest
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion, RegisteredModel, StoredFile, Waiver
from registry.rules import names, signatures
from registry.rules.errors import RuleError
from registry.services.steps import erase, require_author, require_contributor

LONGEST_WAIVER_DAYS = 365
LONGEST_NUMBER = 9  # digits


@dataclass(frozen=True)
class VersionCard:
    """What is known of a version beside its files.

    `framework` is the author's word on packages and their versions, for files that say nothing.
    """

    description: str = ""
    run_id: str = ""
    run_link: str = ""
    logged_model_id: str = ""
    datasets: Sequence[str] = ()
    code_revision: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    signature: Mapping[str, Any] = field(default_factory=dict)
    framework: Mapping[str, str] = field(default_factory=dict)


@transaction.atomic(durable=True)
def register_version(
    *, name: str, source: str, card: VersionCard, actor: User, at: datetime,
    allow_duplicate: bool = False, idempotency_key: str = "",
) -> ModelVersion:  # fmt: skip
    """Register the files under a source as the next version of a model; a worker looks at them.

    Parameters
    ----------
    source : str
        A folder of files that were handed in, ``models:/m-<id>`` for the files of a logged model,
        or ``models:/<name>/<number>`` for those of another version.

    Raises
    ------
    Forbidden
        The actor may not register versions of this model, or the files are somebody else's (403).
    NotFound
        There is no such model, or no file under the source (404).
    InvalidInput
        The source, a tag, the signature or a digest of data is not acceptable (422).
    Conflict, DuplicateRequest
        The model has a version of these files (409, with its number), or the idempotency key was
        used otherwise.
    """
    roles.require(actor, "models:write")
    with translating(RuleError, InvalidInput):
        tags = dict(names.require_tag(key, value) for key, value in card.tags.items())
        names.require_searchable([card.description], tags)
        signatures.require_signature(card.signature)
        datasets = [names.require_digest(entry) for entry in card.datasets]
    told = {"verb": "register_version", "name": name, "source": source, "card": asdict(card)}
    request = canonical.digest(told | {"allow_duplicate": allow_duplicate})
    if earlier := idempotency.recall(actor, idempotency_key, request):
        return selectors.get_version(earlier)
    model = selectors.get_model(name)
    require_contributor(model, actor)
    source = source.rstrip("/")  # as it is looked for, by the address of a file
    found = _find(source, actor)
    copied_from = found.version
    manifest = _frozen(found, at) if copied_from is None else selectors.manifest_of(copied_from)
    _require_new(model, manifest, allow_duplicate)
    version = ModelVersion.objects.create(
        registered_model=model, number=RegisteredModel.objects.take_number(model.pk, at),
        stage_changed_at=at, changed_at=at,
        digest=manifest.version_digest, manifest=manifest.to_json(), n_files=len(manifest.files),
        n_bytes=sum(entry.n_bytes for entry in manifest.files), allows_duplicate=allow_duplicate,
        source=source, copied_from=copied_from, created_by=actor, description=card.description,
        run_id=card.run_id, run_link=card.run_link, logged_model_id=card.logged_model_id,
        datasets=datasets, code_revision=card.code_revision,
        parameters=dict(card.parameters), metrics=dict(card.metrics), tags=tags,
        signature=dict(card.signature),
        framework={"stated": dict(card.framework)} if card.framework else {},
    )  # fmt: skip
    idempotency.remember(actor, idempotency_key, request, version.public_id)
    audit.record(
        "registry.version.registered", version, actor=actor, at=at,
        after={
            "model": name, "number": version.number, "digest": version.digest, "source": source,
            "copied_from": str(copied_from.public_id) if copied_from else None,
        },
    )  # fmt: skip
    transaction.on_commit(lambda: tasks.publish_version(version.public_id))
    return version


@transaction.atomic(durable=True)
def update_version(
    *, version_id: UUID, description: str, actor: User, at: datetime
) -> ModelVersion:
    """Describe a version anew.

    Raises
    ------
    Forbidden, NotFound
        Neither author nor owner (403), no such version (404).
    """
    version = selectors.get_version(version_id)
    require_author(version, actor)
    _write(version, {"description": description}, actor=actor, at=at, verb="described")
    return selectors.get_version(version_id)


@transaction.atomic(durable=True)
def tag_version(
    *, version_id: UUID, key: str, value: str, actor: User, at: datetime
) -> ModelVersion:
    """Set a tag of a version.

    Raises
    ------
    Forbidden, NotFound, InvalidInput
        Neither author nor owner (403), no such version (404), no tag (422).
    """
    version = _locked(version_id)
    require_author(version, actor)
    with translating(RuleError, InvalidInput):
        names.require_tag(key, value)
    _write(version, {"tags": {**version.tags, key: value}}, actor=actor, at=at, verb="tagged")
    return version


@transaction.atomic(durable=True)
def untag_version(*, version_id: UUID, key: str, actor: User, at: datetime) -> ModelVersion:
    """Take a tag off a version; one that it does not have is no error.

    Raises
    ------
    Forbidden, NotFound
        Neither author nor owner (403), no such version (404).
    """
    version = _locked(version_id)
    require_author(version, actor)
    if key in version.tags:
        left = {k: v for k, v in version.tags.items() if k != key}
        _write(version, {"tags": left}, actor=actor, at=at, verb="untagged")
    return version


@transaction.atomic(durable=True)
def delete_version(*, version_id: UUID, actor: User, at: datetime, reason: str = "") -> None:
    """Delete a version that never left development; its number is never given again.

    Raises
    ------
    Forbidden, NotFound
        Neither author nor owner (403), no such version (404).
    Conflict
        It left development once, if only into the archive, is held, was copied, or has evidence:
        its record stays (409).
    """
    version = _locked(version_id)
    require_author(version, actor)
    has_left = version.stage != Stage.DEVELOPMENT or version.left_development_at is not None
    is_recorded = has_left or version.evidence.exists()
    if is_recorded or version.is_held or version.copies.exists():
        raise Conflict(f"{version} is part of the record; archive it if it is no longer wanted.")
    audit.record(
        "registry.version.deleted", version, actor=actor, at=at, reason=reason,
        before={"number": version.number, "digest": version.digest, "stage": version.stage},
    )  # fmt: skip
    erase(version)


@transaction.atomic(durable=True)
def hold_version(
    *, version_id: UUID, is_held: bool, actor: User, at: datetime, reason: str
) -> ModelVersion:
    """Put a version under legal hold, or release it.

    A hold of one that was refused, and whose files were discarded, keeps what is left of them in
    the store; the trail says what is not.

    Raises
    ------
    Forbidden, NotFound, InvalidInput
        Neither validator nor admin (403), no such version (404), no reason (422).
    Conflict
        It is held already, or is not (409).
    """
    roles.require(actor, "models:approve")
    if not reason.strip():
        raise InvalidInput("A legal hold, and its end, need a reason.")
    version = _locked(version_id)
    if version.is_held == is_held:
        raise Conflict(f"{version} is {'' if is_held else 'not '}under a legal hold.")
    told: dict[str, Any] = {}
    if version.files_discarded_at is not None:
        jobs.keep_loose([file["sha256"] for file in version.manifest["files"]])
        told = {"files_not_there": selectors.absent_files(version)}
    before = {"is_held": version.is_held}
    ModelVersion.objects.filter(pk=version.pk).update(
        is_held=is_held, files_discarded_at=None, changed_at=at, updated_at=at
    )
    audit.record(
        f"registry.version.{'held' if is_held else 'released'}", version, actor=actor, at=at,
        reason=reason, before=before, after={"is_held": is_held, **told},
    )  # fmt: skip
    version.refresh_from_db()
    return version


@transaction.atomic(durable=True)
def grant_waiver(
    *, version_id: UUID, expires_at: datetime, actor: User, at: datetime, reason: str
) -> Waiver:
    """Let a quarantined version leave development until a date.

    Raises
    ------
    Forbidden
        The actor is no admin, or is the version's author (403).
    NotFound, InvalidInput, Conflict
        No such version (404), no reason or no sensible date (422), not in quarantine (409).
    """
    roles.require(actor, "models:approve")
    version = selectors.get_version(version_id)
    if roles.Role.ADMIN not in roles.roles_of(actor):
        raise Forbidden("Admins grant waivers.")
    if actor.pk in selectors.authors_of(version):
        raise Forbidden("Nobody grants a waiver for a version of their own.")
    if not reason.strip():
        raise InvalidInput("A waiver needs a reason.")
    if not 0 < (expires_at - at).total_seconds() <= LONGEST_WAIVER_DAYS * 86_400:
        raise InvalidInput(f"A waiver ends within {LONGEST_WAIVER_DAYS} days from now.")
    if version.status != VersionStatus.QUARANTINED:
        raise Conflict(f"{version} is {version.status}; waivers are for what is in quarantine.")
    waiver = Waiver.objects.create(
        version=version, author=version.created_by, granted_by=actor, reason=reason, granted_at=at,
        expires_at=expires_at,
    )  # fmt: skip
    audit.record(
        "registry.waiver.granted", version, actor=actor, at=at, reason=reason,
        after={"expires_at": audit.stamp(expires_at), "digest": version.digest},
    )  # fmt: skip
    return waiver


@transaction.atomic(durable=True)
def revoke_waiver(
    *, version_id: UUID, waiver_id: UUID, actor: User, at: datetime, reason: str
) -> Waiver:
    """Take a waiver back: its version climbs no further by it, from now on.

    Whoever grants may revoke, an author too: stopping needs nobody else.

    Raises
    ------
    Forbidden, NotFound, InvalidInput, Conflict
        The actor is no admin (403), the version has no such waiver (404), no reason (422), it is
        revoked already (409).
    """
    roles.require(actor, "models:approve")
    version = selectors.get_version(version_id)
    if roles.Role.ADMIN not in roles.roles_of(actor):
        raise Forbidden("Admins revoke waivers.")
    waiver = version.waivers.filter(public_id=waiver_id).first()
    if waiver is None:
        raise NotFound(f"{version} has no waiver {waiver_id}.")
    if not reason.strip():
        raise InvalidInput("To revoke a waiver needs a reason.")
    standing = Waiver.objects.filter(pk=waiver.pk, revoked_at=None)
    if not standing.update(revoked_by=actor, revoked_at=at, updated_at=at):
        raise Conflict(f"The waiver of {waiver} is revoked already.")
    audit.record(
        "registry.waiver.revoked", version, actor=actor, at=at, reason=reason,
        before={"expires_at": audit.stamp(waiver.expires_at)},
        after={"waiver": str(waiver_id), "digest": version.digest},
    )  # fmt: skip
    waiver.refresh_from_db()
    return waiver


class SameFiles(Unconfirmed):
    """A version of the model has these files already."""


def _require_new(model: RegisteredModel, manifest: Manifest, allow_duplicate: bool) -> None:
    RegisteredModel.objects.select_for_update(no_key=True).get(pk=model.pk)
    same = (
        model.versions.filter(digest=manifest.version_digest)
        .exclude(status=VersionStatus.REFUSED)
        .order_by("number")
        .first()
    )
    if same is not None and not allow_duplicate:
        twin = selectors.manifest_of(same).content_digest == manifest.content_digest
        names = "exactly these files" if twin else "the same bytes under other names"
        raise SameFiles(
            f"{same} has {names}",
            "say allow_duplicate to register them once more",
            duplicate_of={"id": str(same.public_id), "number": same.number},
        )


@dataclass(frozen=True)
class _Found:
    """The files under a source and the folder they are named from, or the version it names."""

    files: Sequence[StoredFile] = ()
    root: str = ""
    version: ModelVersion | None = None


def _find(source: str, actor: User) -> _Found:
    kind, _, rest = source.partition("models:/")
    if kind == "" and rest:
        if rest.startswith("m-") and "/" not in rest:
            return _of_logged_model(rest, source, actor)
        return _Found(version=_of_version(source, rest))
    folder = source.rstrip("/") + "/"
    rows = StoredFile.objects.filter(path__startswith=folder)
    return _Found(_own(list(rows), source, actor), folder)


def _of_logged_model(model_id: str, source: str, actor: User) -> _Found:
    """Return the files that were handed in under the name of a logged model.

    Those of the actor come first: nobody else is kept from registering by a file under its name.
    """
    rows = list(StoredFile.objects.filter(logged_model_id=model_id))
    if not rows:
        raise NotFound(
            f"The files of the logged model {model_id!r} are not on this server: they went where "
            "its experiment's artifact_location points. Give an experiment one on this server, "
            "log the model there, and register it (docs/mlflow.md)."
        )
    own = [row for row in rows if row.uploaded_by_id == actor.pk]
    files = _own(own or rows, source, actor)
    mark = f"models/{model_id}/artifacts/"
    roots = sorted({row.path[: row.path.index(mark) + len(mark)] for row in files})
    if len(roots) > 1:
        raise Conflict(
            f"{model_id} was handed in under {len(roots)} folders, {roots[0]!r} and {roots[1]!r} "
            "among them; name the folder that is meant."
        )
    return _Found(files, roots[0])


def _of_version(source: str, rest: str) -> ModelVersion:
    name, _, number = rest.rpartition("/")
    if not name or not number.isdecimal() or len(number) > LONGEST_NUMBER:
        raise InvalidInput(f"{source!r} names no version: models:/<name>/<number> is asked.")
    copied = selectors.get_version_of(name, int(number))
    if copied.status == VersionStatus.REFUSED or copied.compromised_at is not None:
        raise Conflict(f"{copied} was refused or is compromised; it cannot be copied.")
    return copied


def _own(rows: list[StoredFile], source: str, actor: User) -> list[StoredFile]:
    if not rows:
        raise NotFound(f"No file was handed in under {source!r}.")
    others = {row.uploaded_by_id for row in rows} - {actor.pk}
    if others and roles.Role.ADMIN not in roles.roles_of(actor):
        raise Forbidden(f"The files under {source!r} were handed in by somebody else.")
    return rows


def _frozen(found: _Found, at: datetime) -> Manifest:
    """Freeze files and return them as a manifest, named from the folder of their source."""
    locked = StoredFile.objects.select_for_update().filter(pk__in=[row.pk for row in found.files])
    current = list(locked.order_by("path"))
    if len(current) != len(found.files):
        raise Conflict("Some of these files were removed at this moment; hand them in again.")
    with translating(ArtifactError, InvalidInput):
        manifest = Manifest.of(
            FileEntry(row.path[len(found.root) :], row.sha256, row.n_bytes) for row in current
        )
    locked.filter(frozen_at=None).update(frozen_at=at)
    return manifest


def _locked(version_id: UUID) -> ModelVersion:
    found = (
        ModelVersion.objects.select_for_update(of=("self",), no_key=True)
        .with_names()
        .filter(public_id=version_id)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no model version {version_id}.")
    return found


def _write(
    version: ModelVersion, fields: Mapping[str, Any], *, actor: User, at: datetime, verb: str,
    reason: str = "",
) -> None:  # fmt: skip
    before = {name: getattr(version, name) for name in fields}
    searched = {"description": version.description, "tags": version.tags, **fields}
    with translating(RuleError, InvalidInput):
        names.require_searchable([searched["description"]], searched["tags"])
    ModelVersion.objects.filter(pk=version.pk).update(**fields, changed_at=at, updated_at=at)
    audit.record(
        f"registry.version.{verb}", version, actor=actor, at=at, reason=reason, before=before,
        after=dict(fields),
    )  # fmt: skip
    version.refresh_from_db()
