"""Requests whose bodies are not what their headers say."""

import base64
import hashlib
from io import BytesIO
from typing import Any

from rest_framework.test import APIClient


def content_digest(content: bytes) -> str:
    """Return the value of a Content-Digest header."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def send(
    api: APIClient, method: str, address: str, content: bytes, length: int | None = -1,
    **headers: str,
) -> Any:  # fmt: skip
    """Send raw bytes; `length` is what the request says of them, None leaves it out."""
    said = len(content) if length == -1 else length
    return api.generic(
        method, address, b"", content_type="application/octet-stream",
        CONTENT_LENGTH="" if said is None else str(said),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        **{"wsgi.input": BytesIO(content)},
    )  # fmt: skip
