"""Loaded models by digest: in memory, then on disk, then from the store.

A model in memory is handed out again after one question, whether it still may be; its bytes were
hashed when it was opened. Whoever comes while it is being opened waits for that, and opens nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from registry.artifacts.disk_cache import DiskCache, Fetch
from registry.artifacts.errors import DigestMismatchError
from registry.artifacts.loading import LoadedModel
from registry.artifacts.manifest import Manifest

Check = Callable[[], None]
Load = Callable[[Path], LoadedModel]


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """What a cache has done: answers from memory, models opened, models dropped for room."""

    n_warm: int
    n_opened: int
    n_evicted: int
    n_bytes: int


class ModelCache:
    """Keeps loaded models in memory up to a size; safe between threads.

    Parameters
    ----------
    disk : DiskCache
    max_bytes : int
        What the models in memory may take together, by their own estimates; one that is larger
        is handed out and not kept.
    """

    def __init__(self, disk: DiskCache, max_bytes: int) -> None:
        self._disk, self._max_bytes = disk, max_bytes
        self._lock = threading.Lock()
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()
        self._opening: dict[str, Future[LoadedModel]] = {}
        self._n_bytes = self._n_warm = self._n_opened = self._n_evicted = 0

    def get(self, manifest: Manifest, *, fetch: Fetch, load: Load, check: Check) -> LoadedModel:
        """Return a version's model, opened at most once however many ask at a time.

        Parameters
        ----------
        manifest : Manifest
        fetch : callable
            Returns an open file, or the path of one, with the bytes of an entry; asked only when
            the disk does not have them.
        load : callable
            Opens the model in a folder, hashing what it opens: `loading.open_model`.
        check : callable
            Asked every time, before anything is handed out. Raises where the version may not be
            used (any more); what it raises goes to the caller, and the model is forgotten.

        Raises
        ------
        DigestMismatchError
            The bytes are not those registered, on the disk and again from the store.
        """
        key = manifest.content_digest
        try:
            check()
        except BaseException:
            self.forget(manifest)
            raise
        with self._lock:
            if (model := self._models.get(key)) is not None:
                self._models.move_to_end(key)
                self._n_warm += 1
                return model
            opening = self._opening.get(key)
            is_first = opening is None
            if opening is None:
                opening = self._opening[key] = Future()
        if is_first:
            self._open_for_all(manifest, opening, fetch, load)
        model = opening.result()
        check()  # it may have been revoked while it was opened
        return model

    def find(self, content_digest: str) -> LoadedModel | None:
        """Return a model that is in memory; whether it may be used is for the caller to ask."""
        with self._lock:
            if (model := self._models.get(content_digest)) is not None:
                self._models.move_to_end(content_digest)
                self._n_warm += 1
        return model

    def forget(self, manifest: Manifest) -> None:
        """Drop a model from memory; those who hold it keep it."""
        with self._lock:
            if (model := self._models.pop(manifest.content_digest, None)) is not None:
                self._n_bytes -= model.n_bytes

    def counts(self) -> CacheCounts:
        """Return what this cache has done so far."""
        with self._lock:
            return CacheCounts(self._n_warm, self._n_opened, self._n_evicted, self._n_bytes)

    def _open_for_all(
        self, manifest: Manifest, opening: Future[LoadedModel], fetch: Fetch, load: Load
    ) -> None:
        key = manifest.content_digest
        try:
            model = self._open(manifest, fetch, load)
        except BaseException as error:
            with self._lock:
                del self._opening[key]
            opening.set_exception(error)
            return  # raised by the future, here as in every thread that waits
        with self._lock:
            del self._opening[key]
            self._n_opened += 1
            self._keep(key, model)
        opening.set_result(model)

    def _open(self, manifest: Manifest, fetch: Fetch, load: Load) -> LoadedModel:
        try:
            with self._disk.opened(manifest, fetch) as folder:
                return load(folder)
        except DigestMismatchError:
            # The copy on disk has rotted, or the store's has: that shows on the second try.
            self._disk.forget(manifest)
            with self._disk.opened(manifest, fetch) as folder:
                return load(folder)

    def _keep(self, key: str, model: LoadedModel) -> None:
        if model.n_bytes > self._max_bytes:
            return
        self._models[key] = model
        self._n_bytes += model.n_bytes
        while self._n_bytes > self._max_bytes:
            _, oldest = self._models.popitem(last=False)
            self._n_bytes -= oldest.n_bytes
            self._n_evicted += 1
