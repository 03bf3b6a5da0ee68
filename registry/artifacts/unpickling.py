"""Unpickling with an exact list of names; only ever called inside the sandbox."""

from __future__ import annotations

import io
import pickle
from importlib import import_module
from typing import Any

from registry.artifacts.allowed import ALLOWED_GLOBALS, MODULES_TODAY, is_allowed
from registry.artifacts.errors import LimitExceededError, NotAllowedError
from registry.artifacts.limits import Limits
from registry.artifacts.streams import Bounded, compression_of, expand

_JOBLIB = "joblib.numpy_pickle"


def import_allowed(names: frozenset[str]) -> None:
    """Import the modules of those of some names that are on the list; before the lock."""
    for module, name in sorted(ALLOWED_GLOBALS):
        if f"{module}.{name}" in names:
            import_module(MODULES_TODAY.get(module, module))


def find_allowed(module: str, name: str) -> Any:
    """Return what a listed name means.

    Raises
    ------
    NotAllowedError
        The name is not on the list.
    """
    if not is_allowed(module, name):
        raise NotAllowedError(f"the pickle imports {module}.{name}")
    return getattr(import_module(MODULES_TODAY.get(module, module)), name)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        return find_allowed(module_name, global_name)


def unpickle(content: bytes, names: frozenset[str], limits: Limits) -> Any:
    """Build what a pickle holds, of listed names alone.

    Parameters
    ----------
    content : bytes
        The whole file, compressed or not.
    names : frozenset of str
        What its scan found it to import; decides between joblib's reader and the plain one.
    limits : Limits

    Raises
    ------
    NotAllowedError
        It imports a name that is not on the list.
    LimitExceededError, UnreadableError
        It expands too far, or cannot be expanded.
    """
    with Bounded(io.BytesIO(content)) as stream:
        return _unpickle(stream, names, limits, 0)


def _unpickle(stream: Bounded, names: frozenset[str], limits: Limits, depth: int) -> Any:
    if kind := compression_of(stream.head(8)):
        if depth >= limits.depth:
            raise LimitExceededError(f"compressed more than {limits.depth} times over")
        with expand(stream, kind, limits) as inner:
            return _unpickle(inner, names, limits, depth + 1)
    if any(name.startswith(f"{_JOBLIB}.") for name in names):
        return _joblib_unpickler(stream).load()
    return _Unpickler(stream.raw).load()


def _joblib_unpickler(stream: Bounded) -> Any:
    from joblib.numpy_pickle import NumpyUnpickler

    class Restricted(NumpyUnpickler):
        def find_class(self, module: str, name: str) -> Any:
            return find_allowed(module, name)

    return Restricted("", stream.raw, ensure_native_byte_order=False)
