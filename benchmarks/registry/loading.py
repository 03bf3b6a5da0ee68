"""What `load` takes beside hashing and deserializing the same file."""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.measure import quantile, seconds, table
from benchmarks.registry.rows import NEWEST


def measure_loading(n_rounds: int) -> None:
    """Print what `load` takes beside hashing and deserializing the same file."""
    from registry import selectors
    from registry.selectors import loading

    rows: list[tuple[str, ...]] = [
        ("model", "MB", "warm ms", "cold ms", "first ms", "hash, open ms", "cold over", "load")
    ]
    for name, (path, plain) in _files().items():
        uri = _register(name, path)
        stored = path.read_bytes()
        warm, cold, first, bare = [], [], [], []
        for _ in range(max(5, n_rounds)):
            bare.append(seconds(partial(_plain, path, plain)))
            loading.model_cache.cache_clear()
            _empty_disk()
            first.append(seconds(partial(selectors.load, uri)))
            loading.model_cache.cache_clear()
            cold.append(seconds(partial(selectors.load, uri)))
            warm += [seconds(partial(selectors.load, uri)) for _ in range(200)]
        loading.model_cache.cache_clear()
        rows.append(
            (name, f"{len(stored) / 1e6:.1f}", f"{1000 * quantile(warm, 0.5):.2f}",
             *(f"{1000 * min(times):.1f}" for times in (cold, first, bare)),
             f"{min(cold) / min(bare):.2f}", f"{os.getloadavg()[0]:.1f}")
        )  # fmt: skip
    table(rows)
    print()


def _plain(path: Path, deserialize: Callable[[bytes], object]) -> object:
    content = path.read_bytes()
    hashlib.sha256(content).hexdigest()
    return deserialize(content)


def _empty_disk() -> None:
    import shutil

    from django.conf import settings

    shutil.rmtree(Path(settings.ARTIFACT_CACHE) / "models", ignore_errors=True)


def _files() -> dict[str, tuple[Path, Callable[[bytes], object]]]:
    """Write a model of each format; return its file, and how the format's library opens it."""
    import numpy as np
    import safetensors.numpy
    import skops.io
    from sklearn.ensemble import RandomForestRegressor

    from registry.artifacts.trusted import TRUSTED_TYPES

    folder = Path(os.environ["CROWETRADE_HOME"], "made")
    folder.mkdir()
    chance = np.random.default_rng(7)
    X, y = chance.normal(size=(2_000, 20)), chance.normal(size=2_000)
    forest = RandomForestRegressor(60, random_state=7, n_jobs=1).fit(X, y)
    skops.io.dump(forest, folder / "forest.skops")
    tensors = {f"layer{i}": chance.normal(size=(1_000, 1_000)) for i in range(8)}
    safetensors.numpy.save_file(tensors, folder / "layers.safetensors")
    (folder / "parameters.json").write_text(json.dumps({f"p{i}": i / 7 for i in range(50)}))
    found: dict[str, tuple[Path, Callable[[bytes], object]]] = {
        "skops, forest of 60 trees": (
            folder / "forest.skops",
            lambda content: skops.io.loads(content, trusted=sorted(TRUSTED_TYPES)),
        ),
        "safetensors, 8 million weights": (
            folder / "layers.safetensors", safetensors.numpy.load,
        ),
        "parameters, JSON": (folder / "parameters.json", json.loads),
    }  # fmt: skip
    return found


def _register(name: str, path: Path) -> str:
    """Register a file as a person would, look at it as a worker would, and return its address."""
    from django.contrib.auth.models import User

    from crowetrade_site.core import storage
    from registry import jobs, services
    from registry.models import ModelVersion
    from registry.services.versions import VersionCard

    owner, folder = User.objects.get(username="client-0"), f"desk/{path.stem}"
    services.store_file(
        path=f"{folder}/{path.name}", sha256=storage.put(path), n_bytes=path.stat().st_size,
        actor=owner, at=NEWEST,
    )  # fmt: skip
    card = {"desk": "g10", "purpose": "Timing", "tier": "low"}
    services.create_model(name=path.stem, card=card, actor=owner, at=NEWEST)
    version = services.register_version(
        name=path.stem, source=folder, card=VersionCard(), actor=owner, at=NEWEST
    )
    jobs.admit_version(version_id=version.public_id)
    status = ModelVersion.objects.get(pk=version.pk)
    if status.status != "ready":
        sys.exit(f"{name}: {status.status}, {status.status_message} {status.findings}")
    return f"models:/{path.stem}/1"
