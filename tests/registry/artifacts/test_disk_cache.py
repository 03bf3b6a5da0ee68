"""Verified files of versions, kept in a folder."""

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from registry.artifacts.disk_cache import DiskCache
from registry.artifacts.errors import DigestMismatchError
from registry.artifacts.manifest import Manifest, read_verified

ROOT = Path(__file__).resolve().parents[3]
FETCHING = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from registry.artifacts.disk_cache import DiskCache
from registry.artifacts.manifest import Manifest
folder, source = Path(sys.argv[2]), Path(sys.argv[3])
def fetch(entry):
    with open(folder.parent / "fetches", "a") as log:
        log.write(entry.path + chr(10))
    time.sleep(0.3)
    return source / entry.path
with DiskCache(folder, 1 << 20).opened(Manifest.of_folder(source), fetch) as place:
    print((place / "a").read_text())
"""


class Store:
    """A store of one version that counts what is asked of it."""

    def __init__(self, folder: Path):
        self.folder, self.n_fetches = folder, 0

    def __call__(self, entry):
        self.n_fetches += 1
        return self.folder / entry.path


@pytest.fixture
def version(folder_of):
    """Make versions of one file of a size."""

    def make(name: str, content: bytes = b"content") -> tuple[Manifest, Store]:
        folder, manifest = folder_of({"a": content, "b/c": name.encode()}, name)
        return manifest, Store(folder)

    return make


class TestDiskCache:
    def test_fetches_once(self, version, tmp_path):
        manifest, store = version("one")

        for _ in range(3):
            with DiskCache(tmp_path / "cache", 1000).opened(manifest, store) as folder:
                assert (folder / "a").read_bytes() == b"content"
                assert (folder / "b/c").read_bytes() == b"one"

        assert store.n_fetches == 2

    def test_takes_open_files_and_closes_them(self, version, tmp_path):
        manifest, store = version("one")
        handed_out = []

        def fetch(entry):
            handed_out.append(io.BytesIO((store.folder / entry.path).read_bytes()))
            return handed_out[-1]

        with DiskCache(tmp_path / "cache", 1000).opened(manifest, fetch) as folder:
            assert Manifest.of_folder(folder) == manifest

        assert all(file.closed for file in handed_out)

    def test_keeps_nothing_of_what_is_not_as_registered(self, version, tmp_path):
        manifest, store = version("one")
        (store.folder / "b/c").write_bytes(b"two")
        cache = DiskCache(tmp_path / "cache", 1000)

        with pytest.raises(DigestMismatchError), cache.opened(manifest, store):
            pass

        assert cache.n_bytes() == 0
        assert not [p for p in (tmp_path / "cache").iterdir() if p.name != ".locks"]

    def test_keeps_files_that_nobody_may_write(self, version, tmp_path):
        manifest, store = version("one")

        with DiskCache(tmp_path / "cache", 1000).opened(manifest, store) as folder:
            assert (folder / "a").stat().st_mode & 0o777 == 0o400

    def test_removes_what_was_used_longest_ago(self, version, tmp_path):
        cache = DiskCache(tmp_path / "cache", 250)
        versions = {name: version(name, bytes(97)) for name in ("one", "two", "six")}

        for name in ("one", "two", "one", "six"):
            with cache.opened(*versions[name]):
                time.sleep(0.01)

        assert cache.n_bytes() == 200
        for name in ("one", "six", "two"):
            with cache.opened(*versions[name]):
                pass
        assert {name: store.n_fetches for name, (_, store) in versions.items()} == {
            "one": 2, "two": 4, "six": 2,
        }  # fmt: skip

    def test_removes_nothing_that_is_in_use(self, version, tmp_path):
        cache = DiskCache(tmp_path / "cache", 100)
        first, second = version("one", bytes(90)), version("two", bytes(90))

        with cache.opened(*first) as folder, cache.opened(*second):
            cache.forget(first[0])
            assert read_verified(folder, first[0].get("a")) == bytes(90)

        cache.forget(first[0])
        assert not folder.exists()

    def test_keeps_two_versions_apart_that_differ_by_a_name(self, folder_of, tmp_path):
        cache = DiskCache(tmp_path / "cache", 1000)
        found = []

        for name in ("a", "b"):
            folder, manifest = folder_of({name: b"same"}, f"version-{name}")
            with cache.opened(manifest, Store(folder)) as place:
                found.append([path.name for path in place.iterdir()])

        assert found == [["a"], ["b"]]

    def test_lets_two_processes_fetch_once(self, version, tmp_path):
        _manifest, store = version("one")
        argv = [
            sys.executable,
            "-c",
            FETCHING,
            str(ROOT),
            str(tmp_path / "cache"),
            str(store.folder),
        ]

        children = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = [child.communicate(timeout=60)[0] for child in children]

        assert said == ["content\n", "content\n"]
        assert (tmp_path / "fetches").read_text() == "a\nb/c\n"

    def test_is_whole_after_a_process_was_killed_while_it_fetched(self, version, tmp_path):
        manifest, store = version("one")
        argv = [
            sys.executable,
            "-c",
            FETCHING,
            str(ROOT),
            str(tmp_path / "cache"),
            str(store.folder),
        ]
        child = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        while not (tmp_path / "fetches").exists():
            time.sleep(0.01)
        child.kill()
        child.wait()

        with DiskCache(tmp_path / "cache", 1000).opened(manifest, store) as folder:
            assert Manifest.of_folder(folder) == manifest

    def test_sweeps_what_a_killed_process_left_a_day_ago(self, tmp_path):
        old, new = tmp_path / "cache/.incoming-old", tmp_path / "cache/.incoming-new"
        for folder in (old, new):
            folder.mkdir(parents=True)
        os.utime(old, (0, 0))

        DiskCache(tmp_path / "cache", 1000)

        assert (old.exists(), new.exists()) == (False, True)

    def test_is_safe_between_threads_that_fetch_and_evict(self, version, tmp_path):
        cache = DiskCache(tmp_path / "cache", 150)
        versions = [version(name, bytes(97)) for name in ("one", "two", "six")]
        faults = []

        def use(start: int) -> None:
            try:
                for n in range(20):
                    manifest, store = versions[(start + n) % 3]
                    with cache.opened(manifest, store) as folder:
                        assert Manifest.of_folder(folder) == manifest
            except BaseException as error:
                faults.append(error)

        threads = [threading.Thread(target=use, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert faults == []
