"""Models out of the registry, opened only if they may be: ``load("models:/momentum@champion")``.

Lazy: nothing is read before it is asked for. A version is opened once a process, and once at a time
however many threads ask; its files are kept on disk, hashed whenever they are opened.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import connection

from crowetrade_site.core import storage
from crowetrade_site.core.errors import Conflict, Corrupted, InvalidInput, NotFound
from registry.artifacts.cache import ModelCache
from registry.artifacts.contents import Format
from registry.artifacts.disk_cache import DiskCache
from registry.artifacts.errors import ArtifactError, DigestMismatchError
from registry.artifacts.loading import LoadedModel, open_model
from registry.artifacts.manifest import FileEntry, Manifest
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion
from registry.selectors.files import manifest_of, no_longer_trusted, refusal_to_serve
from registry.selectors.records import get_aliased, get_version_of, newest_by_stage
from registry.selectors.trust import trusted_types_of

_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<which>[^/@]+)|@(?P<alias>[^/@]+))")
_MOST_DIGITS = 9


@dataclass(frozen=True)
class RegisteredPredictor:
    """A model that was loaded, and which version it is."""

    version_id: UUID
    name: str
    number: int
    digest: str
    model: LoadedModel


def load(uri: str) -> RegisteredPredictor:
    """Open the model of a version, from memory, disk or the store.

    Parameters
    ----------
    uri : str
        ``models:/<name>/<number>``, ``models:/<name>/<stage>`` or ``models:/<name>@<alias>``.

    Raises
    ------
    InvalidInput
        It is no such address (422).
    NotFound
        There is no such version (404).
    Conflict
        The version was not admitted, is archived, or is in quarantine (409).
    Corrupted
        The stored bytes are not those that were registered; nothing was opened (409).
    """
    if (found := _in_memory(uri)) is not None:
        return found
    version = resolve(uri)
    manifest = manifest_of(version)
    try:
        model = model_cache().get(
            manifest, fetch=_fetch, load=_opening(version, manifest), check=_check(version)
        )
    except Corrupted as error:  # in the store, not in a cache of this machine
        error.extensions["version_id"] = str(version.public_id)
        raise
    except DigestMismatchError as error:
        raise Corrupted(
            f"{version} is not what was registered: {error}.", version_id=str(version.public_id)
        ) from error
    except ArtifactError as error:
        raise Conflict(f"{version} cannot be opened: {error}.") from error
    _content_digests()[version.public_id, version.digest] = manifest.content_digest
    return RegisteredPredictor(
        version.public_id, version.registered_model.name, version.number, version.digest, model
    )


# A model in memory costs this one question; three of the ORM would take ten times as long.
_USABLE = f"""
SELECT v.public_id, m.name, v.number, v.digest
FROM registry_modelversion v JOIN registry_registeredmodel m ON m.id = v.registered_model_id
WHERE m.name = %(name)s AND v.status = '{VersionStatus.READY}' AND v.stage <> '{Stage.ARCHIVED}'
  AND v.compromised_at IS NULL AND v.trusted_types = '{{}}' AND
"""  # noqa: S608 - constants
_BY_NUMBER = f"{_USABLE} v.number = %(number)s"
_BY_ALIAS = f"""{_USABLE} v.id = (
    SELECT a.version_id FROM registry_modelalias a
    WHERE a.registered_model_id = m.id AND a.alias = %(alias)s)"""  # noqa: S608 - constants


def _in_memory(uri: str) -> RegisteredPredictor | None:
    """Return a model that was loaded before, if it may be used now and nothing is special."""
    address = _URI.fullmatch(uri)
    if address is None:
        return None
    name, which, alias = address["name"], address["which"], address["alias"]
    if alias is None and not _is_number(which):
        return None
    if "\0" in uri:
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            _BY_NUMBER if alias is None else _BY_ALIAS,
            {"name": name, "number": int(which or 0), "alias": alias},
        )
        row = cursor.fetchone()
    if row is None:
        return None
    version_id, name, number, digest = row
    content_digest = _content_digests().get((version_id, digest))
    model = None if content_digest is None else model_cache().find(content_digest)
    if model is None:
        return None
    return RegisteredPredictor(version_id, name, number, digest, model)


def _is_number(which: str) -> bool:
    return which.isdecimal() and len(which) <= _MOST_DIGITS


@cache
def _content_digests() -> dict[tuple[UUID, str], str]:
    """Return under which key the versions that this process has opened are in memory.

    Each with its own digest: what was approved, and is asked of the database each time.
    """
    return {}


def resolve(uri: str) -> ModelVersion:
    """Return the version that an address stands for.

    Raises
    ------
    InvalidInput, NotFound
        As `load`.
    """
    found = _URI.fullmatch(uri)
    if found is None:
        raise InvalidInput(
            f"{uri!r} names no model: models:/<name>/<number or stage> or models:/<name>@<alias>."
        )
    name, which, alias = found["name"], found["which"], found["alias"]
    if alias is not None:
        return get_aliased(name, alias)
    if _is_number(which):
        return get_version_of(name, int(which))
    if which.lower() not in set(Stage):
        raise InvalidInput(f"{which!r} is neither a version number nor a stage.")
    newest = newest_by_stage(name, [Stage(which.lower())])
    if not newest:
        raise NotFound(f"The model {name} has no version in {which.lower()}.")
    return newest[0]


@cache
def model_cache() -> ModelCache:
    """Return the cache of this process."""
    disk = DiskCache(Path(settings.ARTIFACT_CACHE) / "models", settings.MODEL_DISK_CACHE_BYTES)
    return ModelCache(disk, settings.MODEL_MEMORY_CACHE_BYTES)


def _opening(version: ModelVersion, manifest: Manifest) -> Callable[[Path], LoadedModel]:
    def opening(folder: Path) -> LoadedModel:
        return open_model(
            folder,
            manifest,
            model_path=version.model_path,
            model_format=Format(version.format),
            trusted=trusted_types_of(version.registered_model.desk),
            seconds=settings.MODEL_PREDICT_SECONDS,
        )

    return opening


def _check(version: ModelVersion) -> Callable[[], None]:
    """Ask whether the version may be used still: it may have been revoked meanwhile."""

    def check() -> None:
        row = (
            ModelVersion.objects.filter(pk=version.pk)
            .select_related("registered_model")
            .only(
                "status",
                "stage",
                "compromised_at",
                "number",
                "trusted_types",
                "registered_model__name",
                "registered_model__desk",
            )
            .first()
        )
        if row is None:
            raise NotFound(f"{version} was deleted.")
        if row.compromised_at is not None or row.status != VersionStatus.READY:
            raise refusal_to_serve(version, ()) or Conflict(f"{version} may not be loaded.")
        if row.stage == Stage.ARCHIVED:
            raise Conflict(f"{version} is archived; revive it to use it.")
        if refusal := no_longer_trusted(row):
            raise refusal

    return check


def _fetch(entry: FileEntry) -> Path:
    return storage.locate(entry.sha256)
