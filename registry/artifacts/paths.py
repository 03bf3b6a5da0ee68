"""Which paths a model's files may have."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from registry.artifacts.errors import UnsafePathError

MAX_PATH_BYTES = 1024
MAX_PART_BYTES = 255
MAX_DECODINGS = 8
_DRIVE = re.compile(r"[A-Za-z]:")
# Control, formatting (bidirectional overrides), surrogates, line and paragraph separators.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def require_safe_path(path: str) -> str:
    """Return a relative path with "/" between its parts, in Unicode's composed form (NFC).

    It is refused as it stands and after each percent-decoding, until decoding changes nothing.

    Raises
    ------
    UnsafePathError
        The path is empty, absolute or too long, or has an empty part, ``.``, ``..``, a backslash,
        a drive letter, a control or formatting character.
    """
    form = path
    for _ in range(MAX_DECODINGS):
        _require_plain(form, path)
        decoded = _decoded(form, path)
        if decoded == form:
            return unicodedata.normalize("NFC", path)
        form = decoded
    raise UnsafePathError(f"The path {path!r} is encoded too many times over.")


def _decoded(form: str, path: str) -> str:
    try:
        return unquote_to_bytes(form).decode()
    except UnicodeError:
        raise UnsafePathError(f"The path {path!r} decodes to no text.") from None


def _require_plain(form: str, path: str) -> None:
    # Compatibility forms too: a full-width solidus or dot is one to some file systems.
    for text in (form, unicodedata.normalize("NFKC", form)):
        if any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in text):
            raise UnsafePathError(f"The path {path!r} has a control character.")
        if "\\" in text or text.count("/") != form.count("/"):
            raise UnsafePathError(f"The path {path!r} has a backslash, or what passes for a slash.")
        if len(text.encode()) > MAX_PATH_BYTES:
            raise UnsafePathError(f"The path {path[:80]!r}... is too long.")
        for part in text.split("/"):
            _require_plain_part(part, path)


def _require_plain_part(part: str, path: str) -> None:
    if part in {"", ".", ".."}:
        raise UnsafePathError(f"The path {path!r} is absolute, or has the part {part!r}.")
    if _DRIVE.match(part):
        raise UnsafePathError(f"The path {path!r} has a drive letter.")
    if len(part.encode()) > MAX_PART_BYTES:
        raise UnsafePathError(f"The path {path[:80]!r} has a part that is too long.")


def folded(path: str) -> str:
    """Return what a path is on a file system that ignores case and composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", path).casefold())


def require_distinct(paths: Iterable[str]) -> None:
    """Refuse paths that are one on some file system, or of which one is another's folder.

    Raises
    ------
    UnsafePathError
        Two collide.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        name = folded(path)
        parts = name.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts))]
        for other in (files.get(name), folders.get(name), *map(files.get, above)):
            if other is not None:
                raise UnsafePathError(f"The paths {other!r} and {path!r} collide.")
        files[name] = path
        folders.update(dict.fromkeys(above, path))
