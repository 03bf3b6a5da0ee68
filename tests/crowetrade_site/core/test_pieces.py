"""What is read in part is what was written."""

import io
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crowetrade_site.core import pieces, storage
from crowetrade_site.core.errors import Corrupted, NotFound

SIZE = 3 * pieces.PIECE + 100


def stored(tmp_path, content: bytes) -> pieces.Pieces:
    path = tmp_path / "large"
    path.write_bytes(content)
    return pieces.Pieces(storage.put(path), pieces.put_list(path))


def rot(digest: str, at: int) -> None:
    """Change one byte of an object as a bad disk does."""
    path = storage.locate(digest)
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


class TestPieces:
    @pytest.mark.parametrize("size", [0, 1, pieces.PIECE, pieces.PIECE + 1, SIZE, SIZE + 5, -1])
    @pytest.mark.parametrize("place", [0, 7, pieces.PIECE, 2 * pieces.PIECE - 1, SIZE - 1, SIZE])
    def test_read_like_a_file(self, tmp_path, place, size):
        content = os.urandom(SIZE)
        plain = io.BytesIO(content)

        with stored(tmp_path, content) as file:
            file.seek(place)
            plain.seek(place)

            assert file.read(size) == plain.read(size)
            assert file.tell() == plain.tell()

    def test_refuse_a_piece_that_has_rotted_and_no_other(self, tmp_path):
        content = os.urandom(SIZE)
        with stored(tmp_path, content) as file:
            rot(file.digest, pieces.PIECE + 3)

            assert file.read(pieces.PIECE) == content[: pieces.PIECE]
            with pytest.raises(Corrupted, match="piece 1"):
                file.read(1)
            file.seek(2 * pieces.PIECE)
            assert file.read() == content[2 * pieces.PIECE :]

    def test_refuse_a_list_that_has_rotted(self, tmp_path):
        path = tmp_path / "large"
        path.write_bytes(os.urandom(SIZE))
        digest, listed = storage.put(path), pieces.put_list(path)
        rot(listed, 0)

        with pytest.raises(Corrupted):
            pieces.Pieces(digest, listed)

    @pytest.mark.parametrize("left", [0, 1, pieces.PIECE, SIZE - 1])
    def test_refuse_an_object_that_was_cut_off(self, tmp_path, left):
        path = tmp_path / "large"
        path.write_bytes(os.urandom(SIZE))
        digest, listed = storage.put(path), pieces.put_list(path)
        file = storage.locate(digest)
        file.chmod(0o600)
        os.truncate(file, left)

        with pytest.raises(Corrupted, match="is corrupted"):
            pieces.Pieces(digest, listed)

    def test_of_what_is_not_there_are_not_opened(self, tmp_path):
        path = tmp_path / "large"
        path.write_bytes(b"x")

        with pytest.raises(NotFound):
            pieces.Pieces("0" * 64, pieces.put_list(path))

    def test_say_through_the_reader_of_tables_what_is_corrupted(self, tmp_path):
        path = tmp_path / "large"
        rng = np.random.default_rng(0)
        pq.write_table(pa.table({name: rng.random(50_000) for name in "ab"}), path)

        with pieces.Pieces(storage.put(path), pieces.put_list(path)) as file:
            rot(file.digest, 100_000)
            table = pq.ParquetFile(file)

            with pytest.raises(Corrupted, match="is corrupted"):
                table.read(columns=["a"])
            assert table.read(columns=["b"]).num_rows == 50_000
