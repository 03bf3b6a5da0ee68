"""What models, aliases and tags may be called, as MLflow's clients expect it."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from registry.rules.errors import RuleError

LONGEST_NAME, LONGEST_ALIAS = 256, 255
LONGEST_TAG_KEY, LONGEST_TAG_VALUE = 250, 100_000
OWN_TAGS = "registry."
MOST_SEARCHED = 500_000  # bytes of words that are searched; the database takes 1 MiB of them
_ALIAS = re.compile(r"[\w-]+", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ALGORITHM = "sha256:"
# Signs of which nothing is seen, and that a normal form leaves where they are.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
_VERSION_LIKE = re.compile(r"v\d+", re.IGNORECASE)


def require_model_name(name: str) -> str:
    """Return a model's name, or refuse it.

    Raises
    ------
    RuleError
        It is empty, too long, path-like, holds ``/``, ``:`` or a control character, or is written
        in signs that look like others: two models would seem to have one name.
    """
    if not name.strip() or name != name.strip():
        raise RuleError("A model needs a name without spaces at its ends.")
    if len(name) > LONGEST_NAME:
        raise RuleError(f"A model's name has at most {LONGEST_NAME} characters.")
    if any(sign in name for sign in "/:\\") or not name.isprintable():
        raise RuleError(f"The name {name!r} may hold no '/', ':', '\\' or control character.")
    if set(name) <= {"."} or ".." in name:
        raise RuleError(f"The name {name!r} looks like a path; choose one without '..'.")
    if (plain := unicodedata.normalize("NFKC", name)) != name:
        raise RuleError(
            f"The name {name!a} is written in signs that look like others; write it as {plain!a}."
        )
    if _UNSEEN.search(name):
        raise RuleError(f"The name {name!a} holds a sign that nobody sees; leave it out.")
    return name


def require_alias(alias: str) -> str:
    """Return an alias, or refuse it.

    Raises
    ------
    RuleError
        It holds other signs than letters, digits, ``_`` and ``-``, or stands for something else.
    """
    if len(alias) > LONGEST_ALIAS or not _ALIAS.fullmatch(alias):
        raise RuleError(
            f"The alias {alias!r} must be letters, digits, '_' and '-', at most {LONGEST_ALIAS}."
        )
    if alias.lower() == "latest" or _VERSION_LIKE.fullmatch(alias):
        raise RuleError(f"The alias {alias!r} is reserved: it would stand for a version number.")
    return alias


def plain_digest(text: str) -> str:
    """Return a digest as it is compared: in lower case, without the name of its algorithm."""
    return text.strip().lower().removeprefix(_ALGORITHM)


def is_digest(text: str) -> bool:
    """Return whether a text is a SHA-256 digest as it is compared."""
    return _DIGEST.fullmatch(text) is not None


def require_digest(text: str) -> str:
    """Return the digest of data as it is compared, or refuse it: words are like no other words.

    Raises
    ------
    RuleError
        It is no SHA-256 digest in hexadecimal digits.
    """
    digest = plain_digest(text)
    if not is_digest(digest):
        raise RuleError(
            f"Data are named by their digest, 64 hexadecimal digits of SHA-256: {text!r} is none."
        )
    return digest


def require_searchable(texts: Iterable[str], tags: Mapping[str, str]) -> None:
    """Refuse more text than can be searched.

    Raises
    ------
    RuleError
        Descriptions and tags are too long together.
    """
    n_bytes = sum(len(text.encode()) for text in (*texts, *tags, *tags.values()))
    if n_bytes > MOST_SEARCHED:
        raise RuleError(f"Descriptions and tags have at most {MOST_SEARCHED:,} bytes together.")


def require_tag(key: str, value: str) -> tuple[str, str]:
    """Return a tag, or refuse it.

    Raises
    ------
    RuleError
        The key is empty, too long or the registry's own, or the value is too long.
    """
    if not key or len(key) > LONGEST_TAG_KEY or "\x00" in key:
        raise RuleError(f"A tag's key has 1 to {LONGEST_TAG_KEY} characters.")
    if key.startswith(OWN_TAGS):
        raise RuleError(f"Tags under {OWN_TAGS!r} are the registry's own; {key!r} is not set.")
    if len(value) > LONGEST_TAG_VALUE or "\x00" in value:
        raise RuleError(f"A tag's value has at most {LONGEST_TAG_VALUE} characters.")
    return key, value
