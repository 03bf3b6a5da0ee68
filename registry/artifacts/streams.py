"""Seekable byte streams that never hand out, or allocate for, more than there is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import mmap
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO, Self, cast

from registry.artifacts.errors import LimitExceededError, UnreadableError
from registry.artifacts.limits import MIB, Limits

_SPOOL_BYTES = 32 * MIB
_CHUNK = MIB
# Magic bytes; the order does not matter, none is another's beginning.
_MAGIC = {
    "gzip": b"\x1f\x8b",
    "bz2": b"BZh",
    "xz": b"\xfd7zXZ",
    "lz4": b"\x04\x22\x4d\x18",
    "zstd": b"\x28\xb5\x2f\xfd",
    "joblib before 0.10": b"ZF0x",
}
UNSUPPORTED = frozenset({"lz4", "zstd", "joblib before 0.10"})


class Bounded:
    """A seekable stream whose `read(n)` asks for no more than is left.

    A length field in a file may say 2**62; a buffered reader would try to allocate it.

    Parameters
    ----------
    stream : seekable binary file, or a mapping
    """

    def __init__(self, stream: IO[bytes] | mmap.mmap) -> None:
        self._stream = cast("IO[bytes]", stream)
        stream.seek(0, io.SEEK_END)  # a mapping's seek returns nothing
        self.n_bytes: int = stream.tell()
        stream.seek(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def read(self, n: int = -1) -> bytes:
        """Return the next `n` bytes, or as many as there are."""
        left = max(0, self.n_bytes - self._stream.tell())
        return self._stream.read(left if n < 0 else min(n, left))

    def readline(self) -> bytes:
        """Return the bytes up to and with the next newline."""
        return self._stream.readline()

    def tell(self) -> int:
        """Return the place [bytes from the start]."""
        return self._stream.tell()

    def seek(self, place: int) -> None:
        """Go to a place [bytes from the start]."""
        self._stream.seek(place)

    def head(self, n: int) -> bytes:
        """Return the first `n` bytes and stay at the start."""
        self.seek(0)
        found = self.read(n)
        self.seek(0)
        return found

    @property
    def raw(self) -> IO[bytes]:
        """The stream itself, for readers of whole files."""
        return self._stream


def compression_of(head: bytes) -> str:
    """Return what compresses a stream by its first bytes; empty where nothing does."""
    for name, magic in _MAGIC.items():
        if head.startswith(magic):
            return name
    is_zlib = len(head) > 1 and head[0] & 0x0F == 8 and (head[0] << 8 | head[1]) % 31 == 0
    if is_zlib and head[0] == 0x78:
        return "zlib"
    if head[:3] == b"\x5d\x00\x00":
        return "lzma"
    return ""


def expand(stream: Bounded, kind: str, limits: Limits) -> Bounded:
    """Return the uncompressed stream, on disk where it is large; the caller closes it.

    Raises
    ------
    LimitExceededError
        It grows past the size or the ratio allowed; nothing beyond that was expanded.
    UnreadableError
        It is damaged, or nothing here reads this compression.
    """
    if kind in UNSUPPORTED:
        raise UnreadableError(f"compressed by {kind}, which is not read here")
    spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 - handed on
    try:
        total = 0
        for piece in _pieces(stream, kind):
            total += len(piece)
            _require_room(total, max(1, stream.tell()), limits)
            spool.write(piece)
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        spool.close()
        raise UnreadableError(f"damaged {kind} stream: {error}") from error
    except LimitExceededError:
        spool.close()
        raise
    return Bounded(spool)


def _pieces(stream: Bounded, kind: str) -> Iterator[bytes]:
    """Yield what a stream expands to, never more than a chunk at a time."""
    stream.seek(0)
    if kind == "zlib":
        yield from _inflated(stream)
        return
    with _reader(stream.raw, kind) as file:
        while piece := file.read(_CHUNK):
            yield piece


def _reader(raw: IO[bytes], kind: str) -> gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=raw)
    return bz2.BZ2File(raw) if kind == "bz2" else lzma.LZMAFile(raw)


def _inflated(stream: Bounded) -> Iterator[bytes]:
    machine = zlib.decompressobj()
    while not machine.eof:
        pending = machine.unconsumed_tail or stream.read(_CHUNK)
        if not pending:
            raise EOFError("it ends too early")
        yield machine.decompress(pending, _CHUNK)
    if machine.unused_data or stream.read(1):
        raise EOFError("bytes follow its end")


def _require_room(total: int, compressed: int, limits: Limits) -> None:
    if total > limits.expanded_bytes:
        raise LimitExceededError(f"it expands to more than {limits.expanded_bytes} bytes")
    if total > limits.ratio_floor_bytes and total > limits.expansion_ratio * compressed:
        raise LimitExceededError(f"it expands more than {limits.expansion_ratio:g} times")
