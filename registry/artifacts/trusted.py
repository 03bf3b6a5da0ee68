"""Which types a skops file may name: the registry's list, whatever the file's author trusts."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from registry.artifacts.archives import (
    UNREADABLE_MEMBER,
    inspect_zip,
    nested_archives,
    open_zip,
    read_member,
)
from registry.artifacts.documents import n_containers
from registry.artifacts.errors import LimitExceededError, NotAllowedError, UnreadableError
from registry.artifacts.findings import Finding
from registry.artifacts.limits import Limits
from registry.artifacts.manifest import open_regular
from registry.artifacts.soundness import require_sound
from registry.artifacts.streams import Bounded

SCHEMA = "schema.json"
# What skops does not trust by itself, and scikit-learn's usual models need. The trees hold
# indices that scikit-learn does not check: `require_sound` does, wherever a file is opened.
TRUSTED_TYPES: frozenset[str] = frozenset(
    {
        "numpy.dtype",
        "sklearn.tree._tree.Tree",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
    }
)
# What a desk may add comes from here. skops calls what a file names: it must be a class, which its
# name tells, for to import a module is to run it. Functions are never among them.
_PACKAGES = frozenset({"numpy", "scipy", "sklearn"})
_SMALL_CLASSES = frozenset(
    {"numpy.dtype", "numpy.ndarray", "scipy.interpolate._interpolate.interp1d",
     "scipy.sparse._csc.csc_array", "scipy.sparse._csc.csc_matrix",
     "scipy.sparse._csr.csr_array", "scipy.sparse._csr.csr_matrix"}
)  # fmt: skip
# Modules, private or not, that compile, read files, fetch or call what they are given.
_NEVER = frozenset(
    {"conftest", "ctypeslib", "datasets", "distutils", "externals", "f2py", "io", "lib",
     "npyio", "parallel", "testing", "tests", "weave"}
)  # fmt: skip
_TYPE_NAME = re.compile(r"[a-z]\w*(\.\w+)+", re.ASCII)
_MEMBER = re.compile(r"schema\.json|[0-9a-f-]+\.(npy|npz|bin)")


def may_be_trusted(name: str) -> bool:
    """Return whether a type may be added to a list of trusted types at all.

    Only a class of numpy, scipy or scikit-learn may, and none that runs what it is given.
    """
    if name in _SMALL_CLASSES:
        return True
    *modules, kind = name.split(".")
    return (
        _TYPE_NAME.fullmatch(name) is not None
        and modules[0] in _PACKAGES
        and _NEVER.isdisjoint(module.strip("_") for module in modules)
        and kind.lstrip("_")[:1].isupper()
    )


def is_skops(archive: zipfile.ZipFile) -> bool:
    """Return whether a zip archive has a skops schema."""
    return SCHEMA in archive.namelist()


def inspect_skops(
    stream: Bounded, path: str, limits: Limits, trusted: Collection[str] = TRUSTED_TYPES
) -> list[Finding]:
    """Return what is wrong with a skops file; empty where it may be opened.

    Sizes are summed first. Then skops lists the types it does not know, without building them.
    """
    archive = open_zip(stream)
    if archive is None:
        return [Finding("archive_broken", path, "a damaged zip archive")]
    try:
        if findings := _container_findings(archive, path, limits):
            return findings
        unknown = untrusted_types(stream)
    except (UnreadableError, *UNREADABLE_MEMBER) as error:
        return [Finding("archive_broken", path, f"a damaged skops file: {error}")]
    return [
        Finding("untrusted_type", path, name)
        for name in unknown
        if name not in trusted or not may_be_trusted(name)
    ]


def _container_findings(archive: zipfile.ZipFile, path: str, limits: Limits) -> list[Finding]:
    findings = inspect_zip(archive, path, limits) or _schema_findings(archive, path, limits)
    total = sum(member.file_size for member in archive.infolist())
    for name in () if findings else archive.namelist():
        if not _MEMBER.fullmatch(name):
            findings.append(Finding("unknown_format", f"{path}!{name}", "no part of a skops file"))
        elif name.endswith(".npz"):  # a sparse matrix is an archive of its own
            place = f"{path}!{name}"
            nested = open_zip(read_member(archive, name))
            if nested is None:
                findings.append(Finding("archive_broken", place, "a damaged zip archive"))
                continue
            total += sum(member.file_size for member in nested.infolist())
            findings += inspect_zip(nested, place, limits) or nested_archives(nested, place)
    if total > limits.expanded_bytes:
        findings.append(Finding("archive_size", path, f"expands to {total} bytes"))
    return findings


def _schema_findings(archive: zipfile.ZipFile, path: str, limits: Limits) -> list[Finding]:
    """Refuse a schema that would take the memory: read, it is many times what it is as text."""
    if not is_skops(archive):
        return []  # which skops refuses
    place = f"{path}!{SCHEMA}"
    n_bytes = archive.getinfo(SCHEMA).file_size
    if n_bytes > limits.schema_bytes:
        return [Finding("archive_size", place, f"a schema of {n_bytes} bytes")]
    if (n := n_containers(archive.read(SCHEMA))) > limits.n_containers:
        return [Finding("archive_size", place, f"a schema of {n} lists and objects")]
    return []


def untrusted_types(file: Path | Bounded) -> list[str]:
    """Return the types a skops file names and skops does not trust by itself, sorted.

    Parameters
    ----------
    file : Path or Bounded
        Sizes of a stream are the caller's business; of a path they are checked here.

    Raises
    ------
    UnreadableError
        It is no skops file, or a damaged one.
    LimitExceededError
        It expands too far.
    """
    if isinstance(file, Path):
        with open_regular(file) as opened:
            stream = Bounded(opened)
            archive = open_zip(stream)
            if archive is None:
                raise UnreadableError("a damaged zip archive")
            if findings := _container_findings(archive, file.name, Limits()):
                raise LimitExceededError(findings[0].text)
            return untrusted_types(stream)
    return _ask_skops(file)


def _ask_skops(stream: Bounded) -> list[str]:
    from skops.io import get_untrusted_types

    stream.seek(0)
    try:
        _require_plain_schema(stream)
        stream.seek(0)
        return list(get_untrusted_types(file=stream.raw))
    except _DAMAGE as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


# skops reads a schema without checking it: a damaged one fails in any of these ways.
_DAMAGE = (
    ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, ImportError,
    *UNREADABLE_MEMBER,
)  # fmt: skip


def _require_plain_schema(stream: Bounded) -> None:
    """Refuse a schema whose names are no names: skops joins and splits them as text."""
    with zipfile.ZipFile(stream.raw) as archive:
        pending: list[Any] = [json.loads(archive.read(SCHEMA))]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            for key in ("__module__", "__class__", "__loader__"):
                name = node.get(key)
                if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
                    raise ValueError(f"the {key} {str(name)[:80]!r}")
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


_NAME = re.compile(r"[A-Za-z_<][\w.<>]*", re.ASCII)


def open_skops(content: bytes, trusted: Collection[str] = TRUSTED_TYPES) -> Any:
    """Build what a skops file holds, of trusted types alone.

    Parameters
    ----------
    content : bytes
        The whole file, verified.
    trusted : collection of str
        The registry's list, with a desk's additions; never the model's own.

    Raises
    ------
    NotAllowedError
        The file names a type that is not trusted; nothing was built.
    LimitExceededError
        It expands too far; nothing was expanded.
    UnreadableError
        It is damaged, was written by versions this one does not read, or holds numbers that
        compiled code would follow out of its arrays (`require_sound`).
    """
    from skops.io import loads
    from skops.io.exceptions import UntrustedTypesFoundException

    archive = open_zip(Bounded(io.BytesIO(content)))
    if archive is None or not is_skops(archive) or not content.startswith(b"PK"):
        raise UnreadableError("this is no skops file")
    try:
        _require_sizes(archive)
    except UNREADABLE_MEMBER as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error
    try:  # it audits every type before it builds one
        model = loads(content, trusted=sorted(filter(may_be_trusted, trusted)))
        require_sound(model)
    except UntrustedTypesFoundException as error:
        raise NotAllowedError(str(error).splitlines()[0]) from error
    except _DAMAGE as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error
    return model


def _require_sizes(archive: zipfile.ZipFile) -> None:
    """Refuse a zip bomb, also one in a sparse matrix, which is an archive of its own."""
    limits = Limits()
    total = sum(member.file_size for member in archive.infolist())
    if findings := [] if total > limits.expanded_bytes else _schema_findings(archive, "", limits):
        raise LimitExceededError(findings[0].text)
    for name in archive.namelist():
        if name.endswith(".npz") and total <= limits.expanded_bytes:
            nested = open_zip(read_member(archive, name))
            total += sum(member.file_size for member in nested.infolist()) if nested else 0
    if total > limits.expanded_bytes:
        raise LimitExceededError(f"it expands to {total} bytes")
