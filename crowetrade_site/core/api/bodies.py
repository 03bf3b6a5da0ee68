"""Bodies that are too large to be held: read in pieces, measured, held against their headers."""

import base64
import binascii
import re
from typing import Any

from django.http import UnreadablePostError
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from crowetrade_site.core.api.problems import TooLarge
from crowetrade_site.core.errors import InvalidRequest

HEX = re.compile(r"[0-9a-fA-F]{64}")
CONTENT_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):", re.IGNORECASE)  # RFC 9530
DIGEST = re.compile(r"(?:^|,)\s*sha-256=([A-Za-z0-9+/=]+)", re.IGNORECASE)  # RFC 3230
DIGEST_HEADERS = [
    OpenApiParameter(
        name, OpenApiTypes.STR, OpenApiParameter.HEADER, description=f"{what}; one of the three."
    )
    for name, what in (
        ("Content-Digest", "RFC 9530: sha-256=:<base64>:"),
        ("Digest", "RFC 3230: sha-256=<base64>"),
        ("X-Content-SHA256", "The SHA-256 in hexadecimal"),
    )
]


class LengthRequired(InvalidRequest):
    """The request does not say how long its body is."""

    slug, status, title = "length-required", 411, "The request does not say how long its body is"


class Truncated(InvalidRequest):
    """The body ended before its length."""

    slug, title = "truncated", "The body ended before its length"


class Body:
    """The body of a request, read in pieces and never held.

    Raises
    ------
    LengthRequired, TooLarge, InvalidRequest
        It has no length (411), a larger one than `most` (413), or is encoded (400).
    """

    def __init__(self, request: Request, *, most: int) -> None:
        self.n_bytes = _length(request)
        if self.n_bytes > most:
            raise TooLarge(f"The body has {self.n_bytes} bytes; {most} are taken.")
        self.n_read = 0
        self._stream: Any = request._request  # noqa: SLF001 - DRF's own stream reads it whole

    def read(self, size: int) -> bytes:
        """Return at most so many bytes; none at the end.

        Raises
        ------
        Truncated
            The client stopped before the length that it said (400).
        """
        if self.n_read == self.n_bytes:
            return b""
        try:
            piece: bytes = self._stream.read(min(size, self.n_bytes - self.n_read))
        except UnreadablePostError:
            piece = b""
        if not piece:
            raise Truncated(
                f"The body ended after {self.n_read} of {self.n_bytes} bytes.", received=self.n_read
            )
        self.n_read += len(piece)
        return piece


def _length(request: Request) -> int:
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise InvalidRequest(f"Send the bytes as they are, not as {encoding!r}.")
    said = str(request.META.get("CONTENT_LENGTH") or "")
    if not said.isdecimal() or not said.isascii():
        raise LengthRequired("Say the length of the body: Content-Length.")
    return int(said)


def announced_digest(request: Request) -> str:
    """Return the SHA-256 that the headers state, in hexadecimal; empty where none does.

    Raises
    ------
    InvalidRequest
        One cannot be read, or two contradict each other (400).
    """
    stated = {
        _stated(request, "X-Content-SHA256", HEX, from_base64=False),
        _stated(request, "Content-Digest", CONTENT_DIGEST),
        _stated(request, "Digest", DIGEST),
    } - {""}
    if len(stated) > 1:
        raise InvalidRequest("The headers state two different digests.")
    return next(iter(stated), "")


def _stated(
    request: Request, name: str, pattern: re.Pattern[str], *, from_base64: bool = True
) -> str:
    text = str(request.headers.get(name, "")).strip()
    if not text:
        return ""
    found = pattern.search(text) if from_base64 else pattern.fullmatch(text)
    if found is None:
        raise InvalidRequest(f"The header {name} states no SHA-256 that can be read.")
    if not from_base64:
        return text.lower()
    try:
        digest = base64.b64decode(found[1], validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise InvalidRequest(f"The header {name} states no SHA-256 that can be read.")
    return digest.hex()
