import hashlib
import io
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from crowetrade_site.core import storage
from crowetrade_site.core.errors import Corrupted, NotFound

CONTENT = b"forty bytes that must never come changed"


@pytest.fixture
def root(settings) -> Path:
    return settings.ARTIFACT_ROOT


def file_of(digest: str, root: Path) -> Path:
    return root / digest[:2] / digest[2:4] / digest


def overwrite(path: Path, content: bytes) -> None:
    """Change a stored file as a broken disk or a careless person could."""
    path.chmod(0o600)
    path.write_bytes(content)
    path.chmod(0o400)


class TestPut:
    def test_names_by_sha_256(self):
        assert storage.put(CONTENT) == hashlib.sha256(CONTENT).hexdigest()

    @pytest.mark.parametrize("size", [0, 1, storage.CHUNK, storage.CHUNK + 1])
    def test_takes_bytes_files_and_paths_alike(self, size, tmp_path):
        content = os.urandom(size)
        path = tmp_path / "content"
        path.write_bytes(content)

        names = {storage.put(content), storage.put(io.BytesIO(content)), storage.put(path)}

        assert names == {hashlib.sha256(content).hexdigest()}
        assert storage.read(names.pop()) == content

    def test_stores_the_same_bytes_once(self, root):
        path = file_of(storage.put(CONTENT), root)
        os.utime(path, (1.0, 1.0))
        before = path.stat()

        after = file_of(storage.put(CONTENT), root).stat()

        assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size)
        assert after.st_mtime > 1.0, "nobody may take it for an old one"

    def test_leaves_a_file_that_nobody_may_write(self, root):
        path = file_of(storage.put(CONTENT), root)

        assert stat.S_IMODE(path.stat().st_mode) == 0o400
        assert path.stat().st_nlink == 1
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def test_leaves_nothing_beside_the_object(self, root):
        digest = storage.put(CONTENT)

        assert [path for path in root.rglob("*") if path.is_file()] == [file_of(digest, root)]

    def test_makes_a_rotten_object_whole_again(self, root, caplog):
        digest = storage.put(CONTENT)
        overwrite(file_of(digest, root), CONTENT[:-1] + b"D")

        storage.put(CONTENT)

        assert storage.read(digest) == CONTENT
        assert "whole again" in caplog.text
        assert stat.S_IMODE(file_of(digest, root).stat().st_mode) == 0o400

    def test_lets_two_writers_of_the_same_bytes_both_succeed(self, root):
        content = os.urandom(3 * storage.CHUNK)
        together = threading.Barrier(8)

        def write(_: int) -> str:
            together.wait(10)
            return storage.put(io.BytesIO(content))

        with ThreadPoolExecutor(8) as pool:
            names = set(pool.map(write, range(8)))

        assert names == {hashlib.sha256(content).hexdigest()}
        assert storage.read(names.pop()) == content
        assert len([path for path in root.rglob("*") if path.is_file()]) == 1


class TestRead:
    @pytest.mark.parametrize("place", range(len(CONTENT)))
    def test_refuses_every_flipped_byte(self, place, root):
        digest = storage.put(CONTENT)
        flipped = bytearray(CONTENT)
        flipped[place] ^= 1 << (place % 8)
        overwrite(file_of(digest, root), bytes(flipped))

        for way in (storage.read, storage.locate, storage.stream):
            with pytest.raises(Corrupted, match=digest):
                way(digest)

    @pytest.mark.parametrize(
        "changed", [b"", CONTENT[:-1], CONTENT + b"\0"], ids=["empty", "truncated", "longer"]
    )
    def test_refuses_another_length(self, changed, root):
        digest = storage.put(CONTENT)
        overwrite(file_of(digest, root), changed)

        with pytest.raises(Corrupted):
            storage.read(digest)

    def test_refuses_swapped_files(self, root):
        one, other = storage.put(b"one"), storage.put(b"other")
        file_of(one, root).rename(root / "aside")
        file_of(other, root).rename(file_of(one, root))
        (root / "aside").rename(file_of(other, root))

        for digest in (one, other):
            with pytest.raises(Corrupted):
                storage.read(digest)

    def test_says_when_there_is_none(self, root):
        digest = storage.put(CONTENT)
        file_of(digest, root).unlink()

        with pytest.raises(NotFound, match="not in the store"):
            storage.read(digest)

    def test_takes_no_folder_for_an_object(self, root):
        digest = storage.put(CONTENT)
        file_of(digest, root).unlink()
        file_of(digest, root).mkdir()

        with pytest.raises(NotFound):
            storage.read(digest)

    def test_notices_a_change_between_check_and_read(self, monkeypatch):
        digest = storage.put(CONTENT)
        monkeypatch.setattr(storage, "stream", lambda _: io.BytesIO(b"changed"))

        with pytest.raises(Corrupted, match="changed while it was read"):
            storage.read(digest)


class TestStream:
    def test_hands_out_the_file_that_was_verified(self, root):
        digest = storage.put(CONTENT)

        with storage.stream(digest) as file:
            file_of(digest, root).unlink()
            file_of(digest, root).write_bytes(b"another")

            assert file.read() == CONTENT

    def test_is_read_only(self):
        with storage.stream(storage.put(CONTENT)) as file:
            assert not file.writable()


class TestLocate:
    def test_returns_the_object_s_own_file(self, root):
        digest = storage.put(CONTENT)

        assert storage.locate(digest) == file_of(digest, root)


class TestObjectName:
    @pytest.mark.parametrize(
        "digest",
        [
            "",
            "..",
            "../../etc/passwd",
            "a" * 63,
            "a" * 65,
            "A" * 64,
            "g" * 64,
            "a" * 64 + "\n",
            "/" + "a" * 63,
            "a" * 61 + "/..",
            "a" * 63 + "\0",
            "\N{CYRILLIC SMALL LETTER A}" * 64,
        ],
    )
    def test_refuses_what_is_no_digest(self, digest):
        for way in (storage.read, storage.locate, storage.stream, storage.exists):
            with pytest.raises(NotFound, match="not a SHA-256 digest"):
                way(digest)

    def test_spreads_objects_over_two_levels(self):
        assert storage.object_name("ab12" + "0" * 60) == f"ab/12/ab12{'0' * 60}"


class TestExists:
    def test_tells_stored_from_unknown(self):
        assert storage.exists(storage.put(CONTENT))
        assert not storage.exists("0" * 64)


class TestWriteOnceFileSystemStorage:
    def test_keeps_the_first_content_of_a_name_handed_in_whole(self, root):
        storages["artifacts"].save("folder/name", ContentFile(CONTENT))

        assert (root / "folder" / "name").read_bytes() == CONTENT
        assert stat.S_IMODE((root / "folder" / "name").stat().st_mode) == 0o400
        assert not list(root.glob(f"{storage.INCOMING}*"))
