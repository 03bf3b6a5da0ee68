"""Large artefacts that are read in part: each piece is hashed when it is read, no other is.

The store hashes an object whole before it hands out a byte, which takes a second a gigabyte. Of a
table of which a page is wanted, the SHA-256 of every piece is kept as a list, itself an object of
the store: so what is read is still what was written.
"""

import hashlib
import io
from pathlib import Path
from typing import NoReturn

from crowetrade_site.core import storage
from crowetrade_site.core.errors import Corrupted

PIECE = 1 << 15
_SIZE = hashlib.sha256().digest_size


def put_list(path: Path) -> str:
    """Store the digests of the pieces of a file and return the name of their list."""
    with path.open("rb") as file:
        digests = [hashlib.sha256(piece).digest() for piece in iter(lambda: file.read(PIECE), b"")]
    return storage.put(b"".join(digests))


class Pieces(io.RawIOBase):
    """An object of the store, open for reading anywhere; to be closed by whoever opened it.

    Parameters
    ----------
    digest : str
        Of the object.
    pieces : str
        Of the list of its pieces, from `put_list`.

    Raises
    ------
    NotFound, Corrupted
        As `storage.locate`; the second also from `read`, where a piece is not what was written.
    """

    def __init__(self, digest: str, pieces: str) -> None:
        super().__init__()
        self.digest = digest
        self._digests = storage.read(pieces)
        self._file = storage.open_unverified(digest)
        try:
            self._require_end()
        except BaseException:
            self._file.close()
            raise

    def _require_end(self) -> None:
        """Refuse an object that is longer or shorter than it was: readers begin at its end."""
        n_bytes = self._file.seek(0, io.SEEK_END)
        n_pieces = len(self._digests) // _SIZE
        if -(-n_bytes // PIECE) != n_pieces:
            self._refuse(f"it is {n_bytes} bytes long, which are not {n_pieces} pieces")
        self.seek(max(0, n_pieces - 1) * PIECE)
        self.read()
        self.seek(0)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the object."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place in the object."""
        return self._file.tell()

    def read(self, size: int = -1, /) -> bytes:
        """Return bytes from here on, once all pieces they lie in are verified."""
        begin = self._file.tell()
        first = begin // PIECE
        end = len(self._digests) // _SIZE if size < 0 else -(-(begin + size) // PIECE)
        self._file.seek(first * PIECE)
        whole = self._file.read((end - first) * PIECE)
        for at in range(0, len(whole), PIECE):
            self._verify(first + at // PIECE, whole[at : at + PIECE])
        skipped = begin - first * PIECE
        found = whole[skipped:] if size < 0 else whole[skipped : skipped + size]
        self._file.seek(begin + len(found))
        return found

    def readall(self) -> bytes:
        """Return everything from here on."""
        return self.read()

    def _verify(self, number: int, piece: bytes) -> None:
        stated = self._digests[number * _SIZE : (number + 1) * _SIZE]
        if hashlib.sha256(piece).digest() != stated:
            self._refuse(f"piece {number}, of {PIECE} bytes, is not what was written")

    def _refuse(self, because: str) -> NoReturn:
        storage.forget(self.digest)  # of a bucket the next look takes a new copy
        raise Corrupted(
            f"The artefact {self.digest} is corrupted: {because}. Restore it from a backup; "
            "nothing was read from it."
        )

    def close(self) -> None:
        """Close the object."""
        if not self.closed:
            self._file.close()
        super().close()
