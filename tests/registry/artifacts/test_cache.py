"""Loaded models, kept by digest."""

import threading
import time
from dataclasses import dataclass, field

import pytest

from registry.artifacts.cache import ModelCache
from registry.artifacts.contents import Format
from registry.artifacts.disk_cache import DiskCache
from registry.artifacts.errors import DigestMismatchError
from registry.artifacts.loading import open_model


class RevokedError(Exception):
    """The registry says that a version may not be used."""


@dataclass
class FakeModel:
    """A model of a stated size."""

    n_bytes: int = 10
    format: Format = Format.PARAMETERS
    parameters: dict = field(default_factory=dict)


@pytest.fixture
def use(folder_of, tmp_path):
    """Get versions of a cache; what was opened, fetched and refused is counted."""

    class Use:
        cache = ModelCache(DiskCache(tmp_path / "cache", 1000), max_bytes=25)
        n_opened = n_fetched = 0
        seconds = 0.0
        revoked: set = set()

        versions: dict = {}

        def version(self, name: str):
            if name not in self.versions:
                content = f'{{"name": "{name}"}}'.encode()
                self.versions[name] = folder_of({"m.json": content}, name)
            return self.versions[name]

        def get(self, name: str, load=None):
            folder, manifest = self.version(name)

            def fetch(entry):
                self.n_fetched += 1
                return folder / entry.path

            def default_load(_):
                time.sleep(self.seconds)
                self.n_opened += 1
                return FakeModel()

            def check():
                if name in self.revoked:
                    raise RevokedError(name)

            return self.cache.get(manifest, fetch=fetch, load=load or default_load, check=check)

    return Use()


def in_threads(n: int, call):
    """Call in many threads at once; return what each got or met."""
    gate, results = threading.Barrier(n), []

    def run():
        gate.wait()
        try:
            results.append(call())
        except BaseException as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class TestModelCache:
    def test_opens_once_for_sixteen_threads(self, use):
        use.version("a")
        use.seconds = 0.1

        models = in_threads(16, lambda: use.get("a"))

        assert len({id(model) for model in models}) == 1
        assert (use.n_opened, use.n_fetched) == (1, 1)
        assert use.cache.counts().n_opened == 1

    def test_tells_every_thread_of_a_failure_and_tries_again_afterwards(self, use):
        def fail(_):
            time.sleep(0.1)
            raise OSError("the disk is gone")

        use.version("a")
        results = in_threads(8, lambda: use.get("a", load=fail))

        assert all(isinstance(result, OSError) for result in results)
        assert use.get("a").n_bytes == 10

    def test_drops_what_was_used_longest_ago(self, use):
        first = use.get("a")
        use.get("b")
        assert use.get("a") is first
        use.get("c")

        assert use.get("a") is first
        counts = use.cache.counts()
        assert (counts.n_opened, counts.n_evicted, counts.n_bytes) == (3, 1, 20)
        assert use.n_fetched == 3
        use.get("b")
        assert (use.n_opened, use.n_fetched) == (4, 3)  # from the disk

    def test_hands_out_what_is_too_large_to_keep(self, use):
        use.get("a")

        assert use.get("b", load=lambda _: FakeModel(n_bytes=1000)).n_bytes == 1000
        assert use.cache.counts().n_bytes == 10

    def test_asks_before_each_warm_answer(self, use):
        use.get("a")
        use.get("a")
        use.revoked = {"a"}

        with pytest.raises(RevokedError):
            use.get("a")

        assert use.cache.counts().n_bytes == 0
        assert use.cache.counts().n_warm == 1

    def test_opens_nothing_that_may_not_be_used(self, use):
        use.revoked = {"a"}

        with pytest.raises(RevokedError):
            use.get("a")

        assert (use.n_opened, use.n_fetched) == (0, 0)

    def test_hands_out_nothing_that_was_revoked_while_it_was_opened(self, use):
        def revoke(_):
            use.revoked = {"a"}
            return FakeModel()

        with pytest.raises(RevokedError):
            use.get("a", load=revoke)

    def test_fetches_again_what_has_rotted_on_the_disk(self, use, tmp_path):
        _folder, manifest = use.version("a")

        def load(place):
            return open_model(place, manifest, model_path="m.json", model_format=Format.PARAMETERS)

        use.get("a", load=load)
        use.cache.forget(manifest)
        (kept,) = tmp_path.glob("cache/*/m.json")
        kept.chmod(0o600)
        kept.write_bytes(b"rotten")

        assert use.get("a", load=load).parameters == {"name": "a"}
        assert use.n_fetched == 2

    def test_gives_up_where_the_store_has_rotted_too(self, use, folder_of):
        folder, manifest = use.version("a")

        def fetch(entry):
            (folder / entry.path).write_bytes(b"rotten")
            return folder / entry.path

        with pytest.raises(DigestMismatchError):
            use.cache.get(manifest, fetch=fetch, load=lambda _: FakeModel(), check=lambda: None)

    def test_answers_in_less_than_a_millisecond(self, use):
        folder, manifest = use.version("a")

        def get():
            return use.cache.get(
                manifest, fetch=lambda e: folder / e.path, load=lambda _: FakeModel(),
                check=lambda: None,
            )  # fmt: skip

        get()
        began = time.perf_counter()
        for _ in range(100):
            get()

        assert (time.perf_counter() - began) / 100 < 1e-3
