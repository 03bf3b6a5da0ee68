"""The manifest of a model version: its files, and the one digest that names them all.

The version digest is laid out as OpenSSF model-signing 1.1 lays out the subject of its
statements, so that a signature of that tool can be checked against it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any

from registry.artifacts.errors import (
    ArtifactError,
    DigestMismatchError,
    LimitExceededError,
    ManifestError,
)
from registry.artifacts.limits import Limits
from registry.artifacts.paths import require_distinct, require_safe_path

FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a version.

    Attributes
    ----------
    path : str
        Relative, "/" between parts, checked by `require_safe_path`.
    sha256 : str
        Of its bytes, 64 hexadecimal digits.
    n_bytes : int
        Its size, >= 0.
    """

    path: str
    sha256: str
    n_bytes: int

    def __post_init__(self) -> None:
        if require_safe_path(self.path) != self.path:
            raise ManifestError(f"The path {self.path!r} is not in composed form (NFC).")
        if not _SHA256.fullmatch(self.sha256):
            raise ManifestError(f"{self.sha256!r} is not a SHA-256 digest.")
        if self.n_bytes < 0:
            raise ManifestError(f"{self.path} has a negative size.")

    @property
    def order(self) -> tuple[str, ...]:
        """The key that files are sorted by: part by part, not as one text."""
        return tuple(self.path.split("/"))


@dataclass(frozen=True)
class Manifest:
    """The files of a version, sorted; equal manifests are equal versions.

    Attributes
    ----------
    files : tuple of FileEntry
        At least one; given in any order, kept in that of model-signing.
    """

    files: tuple[FileEntry, ...]

    def __post_init__(self) -> None:
        if not self.files:
            raise ManifestError("A version needs at least one file.")
        require_distinct(entry.path for entry in self.files)
        ordered = tuple(sorted(self.files, key=lambda entry: entry.order))
        object.__setattr__(self, "files", ordered)

    @classmethod
    def of(cls, entries: Iterable[FileEntry]) -> Manifest:
        """Return the manifest of some files.

        Raises
        ------
        ManifestError, UnsafePathError
            There are none, or two of them collide.
        """
        return cls(tuple(entries))

    @classmethod
    def of_folder(cls, folder: Path, limits: Limits | None = None) -> Manifest:
        """Hash every file below a folder.

        Raises
        ------
        ManifestError, UnsafePathError
            There is no file, a link or a device, or a path that is not safe.
        LimitExceededError
            There are too many files, or they are too large.
        """
        limits = limits or Limits()
        entries: list[FileEntry] = []
        total = 0
        for path in _files_below(folder):
            entry = entry_of(path, path.relative_to(folder).as_posix())
            entries.append(entry)
            total += entry.n_bytes
            if entry.n_bytes > limits.file_bytes or total > limits.total_bytes:
                raise LimitExceededError(f"The files are too large: {entry.path} at the latest.")
            if len(entries) > limits.n_files:
                raise LimitExceededError(f"There are more than {limits.n_files} files.")
        return cls.of(entries)

    @cached_property
    def version_digest(self) -> str:
        """SHA-256 over the raw digests of all files in their order, in hexadecimal.

        The subject digest of model-signing: paths take part by the order they give alone, so
        two versions are compared by their manifests, not by this digest, where names matter.
        """
        joined = b"".join(bytes.fromhex(entry.sha256) for entry in self.files)
        return hashlib.sha256(joined).hexdigest()

    @property
    def n_bytes(self) -> int:
        """The size of all files together."""
        return sum(entry.n_bytes for entry in self.files)

    def get(self, path: str) -> FileEntry | None:
        """Return the entry of a path; None where there is none."""
        return self._by_path.get(path)

    @cached_property
    def _by_path(self) -> dict[str, FileEntry]:
        return {entry.path: entry for entry in self.files}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        files = [{"path": e.path, "sha256": e.sha256, "n_bytes": e.n_bytes} for e in self.files]
        return {"format": FORMAT, "version_digest": self.version_digest, "files": files}

    def to_bytes(self) -> bytes:
        """Return the canonical JSON document: sorted keys, no spaces, UTF-8."""
        return json.dumps(
            self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()

    @cached_property
    def content_digest(self) -> str:
        """SHA-256 of the canonical document: paths and sizes take part, in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Manifest:
        """Read a manifest back and check its digest.

        Raises
        ------
        ManifestError, UnsafePathError
            Parts are missing or of a wrong type, the format is unknown, or the digest does not
            match the files.
        """
        try:
            if document["format"] != FORMAT:
                raise ManifestError("The manifest has a format this version does not know.")
            manifest = cls.of(_entry_from(item) for item in document["files"])
            digest = document["version_digest"]
        except (KeyError, TypeError, AttributeError) as error:
            raise ManifestError(f"This is not a manifest of model files: {error}.") from error
        if digest != manifest.version_digest:
            raise ManifestError("The manifest's digest does not match its files.")
        return manifest

    @classmethod
    def from_bytes(cls, raw: bytes) -> Manifest:
        """Read the JSON document.

        Raises
        ------
        ManifestError, UnsafePathError
            It is no JSON, or no manifest.
        """
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"This is not a manifest of model files: {error}.") from error
        return cls.from_json(document)


def _entry_from(item: Mapping[str, Any]) -> FileEntry:
    path, sha256, n_bytes = item["path"], item["sha256"], item["n_bytes"]
    if not (isinstance(path, str) and isinstance(sha256, str) and type(n_bytes) is int):
        raise ManifestError("A file of the manifest has a field of a wrong type.")
    return FileEntry(path, sha256, n_bytes)


def _files_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place) / name
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                found.append(path)
            elif not stat.S_ISDIR(mode):
                raise ManifestError(f"{path.relative_to(folder)} is a link or a device.")
    return found


def entry_of(path: Path, name: str) -> FileEntry:
    """Hash a file; links are not followed.

    Raises
    ------
    ArtifactError
        It is not an ordinary file, or its name is not safe.
    """
    with open_regular(path) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(require_safe_path(name), sha256, file.tell())


def open_regular(path: Path) -> BufferedReader:
    """Open an ordinary file for reading, never a link.

    Raises
    ------
    ArtifactError
        It is a link, a folder or a device, or is not there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ArtifactError(f"{path.name} cannot be opened: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ArtifactError(f"{path.name} is not an ordinary file.")
    return os.fdopen(descriptor, "rb")


def read_verified(folder: Path, entry: FileEntry) -> bytes:
    """Return a file's bytes after they were hashed: those very bytes, not read again.

    Raises
    ------
    DigestMismatchError
        They are not the bytes the manifest names.
    ArtifactError
        The file is not there, or not an ordinary one.
    """
    with open_regular(folder / entry.path) as file:
        content = file.read(entry.n_bytes + 1)
    require_digest(content, entry)
    return content


def require_digest(content: Any, entry: FileEntry) -> None:
    """Refuse bytes (any buffer) that are not those of an entry.

    Raises
    ------
    DigestMismatchError
        Size or digest differ.
    """
    if len(content) != entry.n_bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise DigestMismatchError(
            f"{entry.path} is not what was registered: its bytes do not hash to {entry.sha256}."
        )
