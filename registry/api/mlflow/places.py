"""Addresses of this server, and what a client's source means here."""

from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from uuid import UUID

from django.conf import settings
from django.urls import get_script_prefix
from rest_framework.request import Request

from crowetrade_site.core.errors import InvalidInput, translating
from registry import selectors
from registry.artifacts.errors import ArtifactError
from registry.artifacts.paths import require_safe_path
from registry.services.uploads import REGISTERED

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ADVICE = (
    "Give the experiment an artifact_location under {url}/<your folder>, log the model there, and "
    "register it (docs/mlflow.md)."
)


class _Origin(NamedTuple):
    """Host, port where it is not the usual one, and the path before our own addresses."""

    host: str
    port: int | None
    prefix: str


def base_url(request: Request) -> str:
    """Return the address of this server as clients see it, without a slash at its end."""
    return settings.PUBLIC_URL or request.build_absolute_uri(get_script_prefix()).rstrip("/")


def artifacts_url(request: Request) -> str:
    """Return the address under which files are handed in and read."""
    return f"{base_url(request)}{ARTIFACTS}"


def registered_url(request: Request, version_id: UUID) -> str:
    """Return the address of the folder in which the files of a version are read."""
    return f"{artifacts_url(request)}/{REGISTERED}/{version_id}"


def registered_path(path: str) -> tuple[UUID, str] | None:
    """Return the version and the path in it, where a path leads to what is registered."""
    root, _, rest = path.partition("/")
    if root != REGISTERED:
        return None
    version_id, _, inside = rest.partition("/")
    try:
        return UUID(version_id), inside
    except ValueError:
        return None


def resolve(source: str, request: Request) -> str:
    """Return a source as `services.register_version` takes it.

    Raises
    ------
    InvalidInput
        It lies on another server, on a disk, or leads out of its folder.
    NotFound
        It names a version or an alias that does not exist.
    """
    if source.startswith("models:/"):
        return _of_models(source)
    with translating(ValueError, InvalidInput):
        parts = urlsplit(source)
        parts.port  # noqa: B018 - read once, where a bad one is refused
    advice = _ADVICE.format(url=artifacts_url(request))
    if parts.scheme == "mlflow-artifacts":
        raise InvalidInput(f"The source {source!r} names files without saying of which server, "
            f"and they are not on this one. {advice}")  # fmt: skip
    if parts.scheme not in _DEFAULT_PORTS:
        raise InvalidInput(f"The source {source!r} is not on this server. {advice}")
    tail = _tail(source, request)
    if tail is None or parts.query or parts.fragment:
        raise InvalidInput(f"The source {source!r} is on another server. {advice}")
    with translating(ArtifactError, InvalidInput):
        folder = require_safe_path(unquote(tail).strip("/"))
    return _of_folder(folder)


def localized(text: str, request: Request) -> str:
    """Return a source in a filter as it is stored: without our own address before it."""
    with translating(ValueError, InvalidInput):
        tail = _tail(text, request) if text.startswith(("http://", "https://")) else None
    return text if tail is None else tail


def _of_models(source: str) -> str:
    """Return `models:/<name>/<number>` for an alias; everything else as it is."""
    name, at_sign, alias = source.removeprefix("models:/").rpartition("@")
    if not at_sign or "/" in alias:
        return source
    return f"models:/{name}/{selectors.get_aliased(name, alias).number}"


def _of_folder(folder: str) -> str:
    named = registered_path(folder)
    if named is None:
        return folder
    version_id, inside = named
    if inside:
        raise InvalidInput(f"{folder!r} is a part of a version; register the whole of it.")
    version = selectors.get_version(version_id)
    return f"models:/{version.registered_model.name}/{version.number}"


def _tail(url: str, request: Request) -> str | None:
    """Return the path behind our artifacts' address, or None where the address is not ours."""
    parts = urlsplit(url)
    before, found, tail = parts.path.partition(f"{ARTIFACTS}/")
    ours = {_origin(base_url(request)), _origin(request.build_absolute_uri(get_script_prefix()))}
    if not found or _Origin(*_origin(url)[:2], before) not in ours:
        return None
    return tail


def _origin(url: str) -> _Origin:
    parts = urlsplit(url)
    port = None if parts.port == _DEFAULT_PORTS.get(parts.scheme) else parts.port
    return _Origin((parts.hostname or "").lower(), port, parts.path.rstrip("/"))
