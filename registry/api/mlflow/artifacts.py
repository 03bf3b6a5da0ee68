"""Files: handed in piece by piece, and read again after their bytes were verified."""

import logging
from typing import IO, Any, NamedTuple, cast

from django.conf import settings
from django.http import FileResponse, HttpRequest
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from crowetrade_site.core import storage
from crowetrade_site.core.api.input import caller
from crowetrade_site.core.api.problems import TooLarge
from crowetrade_site.core.errors import (
    Conflict,
    Corrupted,
    InvalidInput,
    InvalidRequest,
    NotFound,
    translating,
)
from registry import selectors, services
from registry.api.mlflow import input as said
from registry.api.mlflow.base import MlflowView, asked
from registry.api.mlflow.errors import EndpointNotFound, FeatureDisabled, LengthRequired
from registry.api.mlflow.places import registered_path
from registry.api.mlflow.readiness import require_loadable
from registry.artifacts.errors import ArtifactError
from registry.artifacts.paths import require_safe_path
from registry.models import ModelVersion
from registry.selectors import folders, searching

logger = logging.getLogger(__name__)
_MOST_DIGITS = 18


class Bytes(NamedTuple):
    """Stored bytes, and what they are called here."""

    sha256: str
    path: str


class Incoming:
    """The body of a request as a file that counts what is read of it, and misses what is not.

    Raises
    ------
    TooLarge
        It is longer than what is taken (413); nothing of it was read.
    """

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.expected = _length(request)
        if self.expected > settings.MODEL_FILE_MAX_BYTES:
            raise TooLarge(f"A file has at most {settings.MODEL_FILE_MAX_BYTES} bytes.")
        self.n_bytes = 0

    def read(self, size: int) -> bytes:
        """Return the next piece.

        Raises
        ------
        InvalidRequest
            The body ended before its length (400): the client went away.
        """
        piece = self.request.read(min(size, self.expected - self.n_bytes))
        self.n_bytes += len(piece)
        if not piece and self.n_bytes < self.expected:
            raise InvalidRequest(f"The body ended after {self.n_bytes} of {self.expected} bytes.")
        return piece


def _length(request: HttpRequest) -> int:
    """Return the length of a body.

    Clients send an empty file chunked, without a length, and Django sees every chunked body as an
    empty one: whether it is, only its first byte tells.
    """
    told = str(request.META.get("CONTENT_LENGTH") or "")
    if told.isascii() and told.isdigit() and len(told) <= _MOST_DIGITS:
        return int(told)
    if told:
        raise InvalidRequest(f"The length {told[:40]!r} is no number.")
    if request.META["wsgi.input"].read(1):
        raise LengthRequired("A body needs a Content-Length; a chunked one is taken if empty.")
    return 0


class FileView(MlflowView):
    """One file."""

    scopes = {"GET": "models:read", "PUT": "models:write", "DELETE": "models:write"}
    parser_classes = ()

    def put(self, request: Request, path: str) -> Response:
        """Take a file in, piece by piece; no version refers to its path yet."""
        _require_safe(path)
        actor = caller(request)
        body = Incoming(request._request)  # noqa: SLF001 - the framework would read it whole
        digest = _digest_of_same_size(path, body.expected)
        services.require_may_store(path=path, actor=actor, sha256=digest)
        sha256 = storage.put(cast("IO[bytes]", body))
        with services.loose_if_refused(sha256, at=timezone.now()):
            services.store_file(
                path=path, sha256=sha256, n_bytes=body.n_bytes, actor=actor, at=timezone.now()
            )
        return Response({})

    def get(self, request: Request, path: str) -> FileResponse:
        """Return a file whose bytes are those that were handed in."""
        _require_safe(path)
        found = _find(path, request)
        content = _opened(found)
        return FileResponse(content, as_attachment=True, filename=path.rpartition("/")[2])

    def delete(self, request: Request, path: str) -> Response:
        """Refuse: what was handed in stays."""
        _require_safe(path)
        if (
            registered_path(path) is not None
            or folders.get_stored_file(path, caller(request)).frozen_at
        ):
            raise Conflict(f"A model version refers to {path}; it stays as it is.")
        raise FeatureDisabled("Files that were handed in are not deleted by clients.")


class FolderView(MlflowView):
    """The names in a folder."""

    scopes = {"GET": "models:read"}

    def get(self, request: Request) -> Response:
        """Return one level of it; nothing where there is none, or a file."""
        folder = asked(request, said.Folder)["path"].strip("/")
        if folder:
            _require_safe(folder)
        registered = registered_path(folder)
        if registered is None:
            entries = folders.list_folder(folder, caller(request))
        else:
            held = _files_of(_loadable(registered[0]))
            sizes = [(path, n_bytes) for path, (_, n_bytes) in held.items()]
            entries = folders.folder_of(sizes, registered[1])
        return Response({"files": [_entry(entry) for entry in entries]})


class UnknownView(MlflowView):
    """Every address of MLflow's that this server does not have."""

    permission_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Refuse, whatever the method and whoever asks."""
        raise EndpointNotFound(f"There is no endpoint {request.method} {request.path}.")


def _digest_of_same_size(path: str, n_bytes: int) -> str:
    """Return the digest of the file that a body may be again: clients of MLflow announce none."""
    known = selectors.list_files().filter(path=path).first()
    return known.sha256 if known is not None and known.n_bytes == n_bytes else ""


def _require_safe(path: str) -> None:
    with translating(ArtifactError, InvalidInput):
        require_safe_path(path)


def _entry(entry: folders.Entry) -> dict[str, Any]:
    if entry.is_folder:
        return {"path": entry.name, "is_dir": True}
    return {"path": entry.name, "is_dir": False, "file_size": entry.n_bytes}


def _find(path: str, request: Request) -> Bytes:
    registered = registered_path(path)
    if registered is None:
        return _stored(path, request)
    version_id, inside = registered
    held = _files_of(_loadable(version_id))
    if inside not in held:
        raise NotFound(f"There is no file {path}.")
    return Bytes(held[inside][0], inside)


def _stored(path: str, request: Request) -> Bytes:
    """Return a file by the address it was handed in at, which is no way round its versions.

    Clients see it as the source of every version that was registered from there.
    """
    stored = folders.get_stored_file(path, caller(request))
    if stored.frozen_at is not None:
        versions = searching.list_registered_at(stored)
        if not versions:
            raise Conflict(f"{path} is read through the version that has it.")
        for version in versions:
            require_loadable(version)
    return Bytes(stored.sha256, path)


def _loadable(version_id: Any) -> ModelVersion:
    version = selectors.get_version(version_id)
    require_loadable(version)
    return version


def _files_of(version: ModelVersion) -> dict[str, tuple[str, int]]:
    files = selectors.manifest_of(version).files
    return {entry.path: (entry.sha256, entry.n_bytes) for entry in files}


def _opened(found: Bytes) -> IO[bytes]:
    """Return verified bytes, or put on record which versions they belong to."""
    try:
        return storage.stream(found.sha256)
    except NotFound:
        raise Corrupted(
            f"The bytes of {found.path} are not in the artefact store; restore them from a backup."
        ) from None
    except Corrupted as broken:
        actual = storage.digest_of(found.sha256)
        for version in searching.list_holding(found.sha256):
            services.report_tampering(
                version_id=version.public_id, path=found.path, found=actual,
                at=timezone.now(),
            )  # fmt: skip
        logger.error("Stored bytes are not those that were handed in", extra={"file": found.path})  # noqa: TRY400
        raise Corrupted(f"{found.path} cannot be read. {broken.detail}") from broken
