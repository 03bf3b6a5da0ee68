"""Canonical JSON: the exact bytes that are hashed, stored and verified."""

import hashlib
import json
from typing import Any


def encode(document: Any) -> str:
    """Return the one text of a JSON document.

    Keys sorted, no spaces, UTF-8 without escapes. Floats are written in their shortest
    round-trip form, which is fixed by IEEE 754; NaN and infinities are refused.

    Raises
    ------
    ValueError
        The document holds NaN or an infinity.
    TypeError
        It holds something JSON has no word for.
    """
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(document: Any) -> str:
    """Return the SHA-256 of a document's canonical text, in hexadecimal."""
    return hashlib.sha256(encode(document).encode()).hexdigest()
