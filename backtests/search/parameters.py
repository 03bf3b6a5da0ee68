"""Parameter sets: their canonical form, their digest, and how they change a document."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from backtests.search import hints
from backtests.search.errors import PathError, SpaceError

Value = Any  # a JSON value: number, text, truth, null, list or mapping
Parameters = dict[str, Value]

# Under these keys a run's spec keeps a document with paths of its own.
_INNER = "strategy"


def digest(parameters: Mapping[str, Value]) -> str:
    """Return the SHA-256 of a parameter set, 64 hexadecimal digits.

    The order of keys does not matter. 63 and 63.0 are different: the first may go where the
    second may not. A space makes one of them (`Space.canonical`) before it is asked here.

    Raises
    ------
    SpaceError
        A value is NaN, infinite or no JSON value.
    """
    return hashlib.sha256(encode(dict(parameters)).encode()).hexdigest()


def encode(value: Value) -> str:
    """Return a JSON value as the one text that stands for it."""
    try:
        return json.dumps(
            _plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True
        )
    except (TypeError, ValueError):
        raise SpaceError(f"{str(value)[:100]} is not a JSON value.") from None


def _plain(value: Value) -> Value:
    if isinstance(value, float):
        return value + 0.0  # -0.0 and 0.0 are one value
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def apply(document: Mapping[str, Any], parameters: Mapping[str, Value]) -> dict[str, Any]:
    """Return a document with every path of a parameter set put to its value.

    Parameters
    ----------
    document : mapping
        A spec with its defaults filled in: only what is there can be set. Not changed; the result
        shares with it every part that no path leads through.
    parameters : mapping of str to JSON value
        By path, such as ``strategy.signals.0.lookback_days``; numbers index lists. A path that
        begins with no key of the document but with one of its ``strategy`` is meant in there.
        A path is set before those inside it.

    Raises
    ------
    PathError
        A path does not exist in the document; the line says which part of it.
    """
    changed = dict(document)
    values = {_from_top(document, path): value for path, value in parameters.items()}
    for path in sorted(values, key=lambda path: (path.count("."), path)):
        steps = locate(changed, path).split(".")
        holder = changed
        for step in steps[:-1]:
            holder = _opened(holder, _key(holder, step))
        holder[_key(holder, steps[-1])] = _copied(values[path])
    return changed


def _opened(holder: Any, key: Any) -> Any:
    """Put a copy of a part in its place, to write into, and return it."""
    part = holder[key]
    holder[key] = dict(part) if isinstance(part, Mapping) else list(part)
    return holder[key]


def _copied(value: Any) -> Any:
    """Return a copy whose lists can be written to; dates and the like are kept."""
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(inner) for inner in value]
    return value


def locate(document: Mapping[str, Any], path: str) -> str:
    """Return a path as seen from the document's top.

    Raises
    ------
    PathError
        The path does not exist in the document.
    """
    path = _from_top(document, path)
    at: Any = document
    walked: list[str] = []
    for step in path.split("."):
        if (problem := _missing(at, step, ".".join(walked))) is not None:
            raise PathError(f"{path}: {problem}")
        at = at[_key(at, step)]
        walked.append(step)
    return path


def _from_top(document: Mapping[str, Any], path: str) -> str:
    first, inner = path.split(".", 1)[0], document.get(_INNER)
    is_inner = first not in document and isinstance(inner, Mapping) and first in inner
    return f"{_INNER}.{path}" if is_inner else path


def _key(holder: Any, step: str) -> Any:
    return int(step) if isinstance(holder, list | tuple) else step


def _missing(holder: Any, step: str, walked: str) -> str | None:
    where = walked or "the document"
    if isinstance(holder, Mapping):
        return None if step in holder else f"{where} has no {step!r}{hints.nearest(step, holder)}"
    if isinstance(holder, list | tuple):
        if step.isascii() and step.isdigit() and int(step) < len(holder):
            return None
        return f"{where} has {len(holder)} entries, counted from 0; {step!r} is none of them."
    kind = "null" if holder is None else f"{str(holder)[:50]!r}"
    return f"{where} is {kind}; there is no {step!r} in it."
