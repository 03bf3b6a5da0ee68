"""Canonical JSON: the exact bytes that are hashed, stored and verified."""

import hashlib
import json
from typing import Any

_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def encode(document: Any) -> str:
    """Return the one text of a JSON document.

    Keys sorted by code point, no spaces, UTF-8 without escapes. Floats are written in their
    shortest round-trip form, which is fixed by IEEE 754; NaN and infinities are refused.

    Raises
    ------
    ValueError
        The document holds NaN, an infinity, itself, or half of a surrogate pair.
    TypeError
        It holds something JSON has no word for, or a key that is not text: `1` and `"1"`
        would be written alike.
    """
    text = _ENCODER.encode(document)
    _require_text_keys(document)
    text.encode()  # half a surrogate pair has no UTF-8: UnicodeEncodeError is a ValueError
    return text


_NESTING = (dict, list, tuple)  # the encoder takes no other mapping, and no other sequence
_TEXT = frozenset({str})
_FLAT = frozenset({str, int, float, bool, type(None)})


def _require_text_keys(document: Any) -> None:
    if isinstance(document, dict):
        if not _TEXT.issuperset(map(type, document)):
            for key in document:
                if not isinstance(key, str):
                    raise TypeError(f"The key {key!r} is not text.")
        document = document.values()
    elif not isinstance(document, _NESTING):
        return
    if _FLAT.issuperset(map(type, document)):  # as most are: a loop takes three times as long
        return
    for value in document:
        if isinstance(value, _NESTING):
            _require_text_keys(value)


def digest(document: Any) -> str:
    """Return the SHA-256 of a document's canonical text, in hexadecimal."""
    return hashlib.sha256(encode(document).encode()).hexdigest()
