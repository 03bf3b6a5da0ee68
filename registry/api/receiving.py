"""Bytes between a request and the artefact store; none of a file is ever held in memory."""

from collections.abc import Mapping
from typing import IO, cast

from django.conf import settings
from django.utils import timezone
from rest_framework.request import Request

from crowetrade_site.core import spool, storage
from crowetrade_site.core.api.bodies import Body, announced_digest
from crowetrade_site.core.api.input import caller
from crowetrade_site.core.api.problems import TooLarge
from crowetrade_site.core.errors import InvalidRequest
from crowetrade_site.core.storage import Mismatched
from registry import services
from registry.models import StoredFile, Upload


def receive_file(request: Request, path: str) -> StoredFile:
    """Store a body as the file of a path: whole and as announced, or not at all.

    Raises
    ------
    Forbidden, InvalidInput, Conflict
        As `services.store_file`; before a byte is read, where it can be known (403, 422, 409).
    InvalidRequest, Truncated, LengthRequired, TooLarge, Mismatched
        The body is not what its headers say (400, 411, 413, 422).
    """
    actor, digest = caller(request), announced_digest(request)
    services.require_may_store(path=path, actor=actor, sha256=digest)
    body = Body(request, most=settings.MODEL_FILE_MAX_BYTES)
    stored = storage.put(cast("IO[bytes]", body), expect=digest)
    at = timezone.now()
    with services.loose_if_refused(stored, at=at):
        return services.store_file(
            path=path, sha256=stored, n_bytes=body.n_bytes, actor=actor, at=at
        )


def receive_part(request: Request, upload: Upload) -> int:
    """Append a body to what is there of an upload; the last one gives the file its path.

    Returns
    -------
    int
        How many bytes are there.

    Raises
    ------
    NotFound, Busy, WrongOffset
        Nothing waits for more (404); another request writes, or the bytes do not follow (409).
    InvalidRequest, Truncated, LengthRequired, TooLarge
        As `receive_file`; what arrived of a truncated body stays.
    Mismatched
        All is there and is not what was announced: the upload is over (422).
    """
    offset = _offset(request.headers)
    body = Body(request, most=settings.MODEL_FILE_MAX_BYTES)
    if offset + body.n_bytes > upload.n_bytes:
        raise TooLarge(f"{offset} and {body.n_bytes} bytes are more than {upload.n_bytes}.")
    try:
        with spool.held(upload.public_id) as part:
            arrived = spool.append(part, cast("IO[bytes]", body), offset=offset)
            if arrived == upload.n_bytes:
                storage.take_over(part, expect=upload.sha256)
                with services.loose_if_refused(upload.sha256, at=timezone.now()):
                    _complete(request, upload)
    except Mismatched:
        services.abandon_upload(
            upload_id=upload.public_id, actor=caller(request), at=timezone.now(),
            reason="The bytes that arrived are not those that were announced.",
        )  # fmt: skip
        raise
    return arrived


def _complete(request: Request, upload: Upload) -> None:
    at = timezone.now()
    services.complete_upload(upload_id=upload.public_id, actor=caller(request), at=at)
    upload.completed_at = at
    spool.remove(upload.public_id)


def offset_of(upload: Upload) -> int:
    """Return how many bytes of an upload are there.

    Raises
    ------
    NotFound
        What was there has been removed (404).
    """
    return upload.n_bytes if upload.completed_at else spool.arrived(upload.public_id)


def _offset(headers: Mapping[str, str]) -> int:
    said = headers.get("Upload-Offset", "")
    if not said.isdecimal() or not said.isascii():
        raise InvalidRequest("Say behind how many bytes these belong: Upload-Offset.")
    return int(said)
