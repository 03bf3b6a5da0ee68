"""What is in a zip or tar archive, by its directory alone; nothing is unpacked."""

from __future__ import annotations

import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress

from registry.artifacts.errors import UnsafePathError
from registry.artifacts.findings import Finding
from registry.artifacts.limits import Limits
from registry.artifacts.paths import require_distinct, require_safe_path
from registry.artifacts.streams import Bounded, compression_of

ZIP_MAGIC = b"PK\x03\x04"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
# What zipfile raises of a member that it cannot read; damage in one that is deflated is none of its
# own errors.
UNREADABLE_MEMBER = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, EOFError, OSError,
)  # fmt: skip
_ENCRYPTED = 0x1
_UNIX = 3
_OTHER_ARCHIVES = (ZIP_MAGIC, b"PK\x05\x06", b"7z\xbc\xaf\x27\x1c", b"Rar!")


def is_tar(stream: Bounded) -> bool:
    """Return whether a stream begins as a tar archive does."""
    return stream.head(512)[257:262] == b"ustar"


def is_polyglot(stream: Bounded) -> bool:
    """Return whether a stream that does not begin as a zip archive ends as one."""
    if stream.head(2) == b"PK":
        return False
    archive = open_zip(stream)
    stream.seek(0)
    return archive is not None and bool(archive.infolist())


def hides_hdf5(stream: Bounded) -> bool:
    """Return whether a stream is HDF5 behind something else, which is where its readers look, too.

    References
    ----------
    .. [1] HDF5 File Format Specification, "Disk Format: Level 0A": the superblock begins at byte
       0, 512, 1024, 2048 and so on.
    """
    place = 512
    while place < stream.n_bytes:
        stream.seek(place)
        if stream.read(len(HDF5_MAGIC)) == HDF5_MAGIC:
            return True
        place *= 2
    return False


def open_zip(stream: Bounded) -> zipfile.ZipFile | None:
    """Open a zip archive; None where it is damaged."""
    stream.seek(0)
    try:  # zipfile says NotImplementedError of versions and compressions that it cannot read
        return zipfile.ZipFile(stream.raw)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, RecursionError):
        return None


def inspect_zip(archive: zipfile.ZipFile, path: str, limits: Limits) -> list[Finding]:
    """Return what is wrong with a zip archive: its sizes, and the names and kinds of its members.

    The sizes are those its directory states; reading a member never returns more.
    """
    members = archive.infolist()
    if len(members) > limits.n_members:
        return [Finding("archive_members", path, f"{len(members)} members")]
    findings = _size_findings(
        sum(member.file_size for member in members),
        sum(member.compress_size for member in members),
        path,
        limits,
    )
    for member in members:
        findings += _zip_member(member, path)
    return findings + _name_findings([member.filename.rstrip("/") for member in members], path)


def _size_findings(total: int, compressed: int, path: str, limits: Limits) -> list[Finding]:
    if total > limits.expanded_bytes:
        return [Finding("archive_size", path, f"expands to {total} bytes")]
    ratio = total / max(1, compressed)
    if total > limits.ratio_floor_bytes and ratio > limits.expansion_ratio:
        return [Finding("archive_ratio", path, f"a zip bomb: expands {ratio:.0f} times")]
    return []


def _zip_member(member: zipfile.ZipInfo, path: str) -> Iterator[Finding]:
    place = f"{path}!{member.filename}"
    if member.flag_bits & _ENCRYPTED:
        yield Finding("archive_encrypted", place, "an encrypted member")
    mode = member.external_attr >> 16 if member.create_system == _UNIX else 0
    if stat.S_ISLNK(mode):
        yield Finding("archive_link", place, "a symbolic link")
    elif stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        yield Finding("archive_device", place, "a device")


def _name_findings(names: list[str], path: str) -> list[Finding]:
    findings = []
    for name in names:
        try:
            require_safe_path(name)
        except UnsafePathError as error:
            findings.append(Finding("archive_path", f"{path}!{name}", str(error)))
    if not findings:
        try:
            require_distinct(names)
        except UnsafePathError as error:
            if len(set(names)) < len(names):  # folders are listed beside their files
                findings.append(Finding("archive_path", path, str(error)))
    return findings


def nested_archives(archive: zipfile.ZipFile, path: str) -> list[Finding]:
    """Return the members of a zip archive that are archives or compressed themselves.

    Raises
    ------
    UNREADABLE_MEMBER
        A member is damaged.
    """
    findings = []
    for member in archive.infolist():
        with archive.open(member) as file:
            head = file.read(512)
        is_archive = head.startswith(_OTHER_ARCHIVES) or head[257:262] == b"ustar"
        if is_archive or compression_of(head) not in {"", "zlib"}:
            text = "an archive inside an archive"
            findings.append(Finding("archive_nested", f"{path}!{member.filename}", text))
    return findings


def inspect_tar(stream: Bounded, path: str, limits: Limits) -> list[Finding]:
    """Return what is wrong with a tar archive: links, devices, names, sizes."""
    stream.seek(0)
    findings: list[Finding] = []
    names: list[str] = []
    total = 0
    try:
        with tarfile.open(fileobj=stream.raw, mode="r:") as archive:
            for member in archive:
                place = f"{path}!{member.name}"
                total += member.size
                if member.issym() or member.islnk():
                    text = f"a link to {member.linkname}"
                    findings.append(Finding("archive_link", place, text))
                elif not (member.isfile() or member.isdir()):
                    findings.append(Finding("archive_device", place, "a device"))
                names.append(member.name)
                if len(names) > limits.n_members:
                    return [Finding("archive_members", path, f"over {limits.n_members} members")]
    except (tarfile.TarError, OSError, ValueError) as error:
        findings.append(Finding("archive_broken", path, f"a damaged tar archive: {error}"))
    return findings + _size_findings(total, stream.n_bytes, path, limits) + _tar_names(names, path)


def _tar_names(names: list[str], path: str) -> list[Finding]:
    findings = []
    for name in names:
        # "./a" is how tar writes a folder's own files.
        with suppress(UnsafePathError):
            require_safe_path(name.removeprefix("./") or "folder")
            continue
        text = "a path that leads out of its folder"
        findings.append(Finding("archive_path", f"{path}!{name}", text))
    return findings


def read_member(archive: zipfile.ZipFile, name: str) -> Bounded:
    """Return a member's bytes, of at most the size its directory states.

    Raises
    ------
    UNREADABLE_MEMBER
        The member is damaged.
    """
    return Bounded(io.BytesIO(archive.read(name)))
