"""The registry under load: reads, searches over 100,000 versions, loading, a large upload.

    python -m benchmarks registry                    all of it
    python -m benchmarks registry --versions 20000   a smaller registry
    python -m benchmarks registry --only load        requests, load or upload alone

A web server as `manage.py serve` starts it (two gthread processes) on a loopback port, with a home
folder and a database that are thrown away; `DATABASE_URL` chooses the server, else it is the
embedded one. Eight clients keep a connection each. They ask twice: as fast as they are answered,
where what is measured is how long two processors take for eight requests at once, and each at a
steady pace, as people and programs do. Of several rounds the least counts, for each figure.
"""

import argparse
import hashlib
import http.client
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from benchmarks.measure import table

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = ("127.0.0.1", 8766)
CLIENTS = 8
EACH_MODEL = 50  # versions
SECONDS = 1.5
PACE = 10.0  # requests a second of each client
UPLOAD_BYTES = 2**30
BATCH = 5_000
NEWEST = datetime(2026, 6, 1, tzinfo=UTC)
MARKETS = ("majors", "metals", "energy", "grains", "rates", "credit", "crypto", "equity")
METHODS = ("momentum", "carry", "value", "reversal", "breakout", "seasonal", "spread", "volatility")
FITS = ("gradient boosted", "ridge", "lasso", "forest", "network", "kalman", "spline", "linear")
MLFLOW = "/api/2.0/mlflow/model-versions/search"


def main() -> None:
    """Measure in a child, since Django is set up once in a process, and for one place."""
    given = sys.argv[2:] if sys.argv[1:2] == ["registry"] else sys.argv[1:]
    options = given if given[:1] and given[0].startswith("-") else []
    argv = [sys.executable, "-m", "benchmarks.registry", *options]
    done = subprocess.run(argv, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def _in_a_place_of_its_own() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks registry", description=__doc__)
    parser.add_argument("--versions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=("requests", "load", "upload"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ct-bench-") as folder, _database(folder):
        import django
        from django.core.management import call_command
        from django.db import connections

        from crowetrade_site import embedded

        django.setup()
        try:
            call_command("migrate", verbosity=0)
            names = _furnish(asked.versions if asked.only in (None, "requests") else 100)
            if asked.only in (None, "load"):
                _measure_loading(asked.rounds)
            with _web(folder) as server:
                if asked.only in (None, "requests"):
                    _measure_requests(names, asked.rounds)
                if asked.only in (None, "upload"):
                    _measure_upload(server, names.tokens[0])
        finally:
            connections.close_all()
            embedded.detach()  # before the folder goes


@contextmanager
def _database(folder: str) -> Iterator[None]:
    """Make a database of our own on the server that is named, if one is."""
    os.environ |= {
        "CROWETRADE_HOME": folder, "CROWETRADE_LOG_LEVEL": "ERROR",
        "CROWETRADE_API_RATE": "6000/min", "DJANGO_SETTINGS_MODULE": "crowetrade_site.settings",
        "CELERY_BROKER_URL": "memory://",
    }  # fmt: skip
    given = os.environ.get("DATABASE_URL", "")
    if not given:
        yield
        return
    import psycopg

    name = f"crowetrade_bench_{os.getpid()}"
    with psycopg.connect(given, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
    os.environ["DATABASE_URL"] = urlunsplit(urlsplit(given)._replace(path=f"/{name}"))
    try:
        yield
    finally:
        with psycopg.connect(given, autocommit=True) as server:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass(frozen=True)
class Names:
    """What may be asked for."""

    models: list[str]
    versions: list[str]  # public ids
    tokens: list[str]  # one for each client


def _furnish(n_versions: int) -> Names:
    """Fill the registry with valid rows, without the services that would make them one by one."""
    from django.contrib.auth.models import User
    from django.db import connection

    from crowetrade_site.core import services
    from crowetrade_site.core.roles import Role, grants
    from registry.models import ModelVersion, RegisteredModel

    began, at = time.perf_counter(), NEWEST
    root = User.objects.create_superuser("root")
    tokens = []
    for number in range(CLIENTS):
        user = services.create_user(
            username=f"client-{number}", email="", roles_given=[Role.RESEARCHER], actor=root,
            password=secrets.token_urlsafe(16), at=at, reason="for the benchmark",
        )  # fmt: skip
        scopes = sorted(grants(user))
        tokens.append(
            services.issue_token(user=user, name="b", scopes=scopes, actor=user, at=at)[1]
        )
    people = list(User.objects.exclude(pk=root.pk).order_by("pk"))
    chance = random.Random(7)  # noqa: S311 - a draw of rows
    models = RegisteredModel.objects.bulk_create(
        [_model(number, people, chance) for number in range(max(1, n_versions // EACH_MODEL))],
        batch_size=BATCH,
    )
    with _words_later():
        for start in range(0, n_versions, BATCH):
            numbers = range(start, min(start + BATCH, n_versions))
            made = ModelVersion.objects.bulk_create([_version(n, models, chance) for n in numbers])
            _name_champions(made)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # as autovacuum would have
    ids = [str(one) for one in ModelVersion.objects.values_list("public_id", flat=True)]
    print(
        f"{len(models):,} models, {len(ids):,} versions in {time.perf_counter() - began:.0f} s",
        flush=True,
    )
    return Names([model.name for model in models], ids, tokens)


@contextmanager
def _words_later() -> Iterator[None]:
    """Build the inverted indexes of versions when all rows are there: it takes a tenth."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes "
            "WHERE tablename = 'registry_modelversion' AND indexdef LIKE '%USING gin%'"
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        yield
        for _, definition in indexes:
            cursor.execute(definition)


def _model(number: int, people: list[Any], chance: random.Random) -> Any:
    from registry.models import RegisteredModel

    method, market = chance.choice(METHODS), chance.choice(MARKETS)
    return RegisteredModel(
        name=f"{method}-{market}-{number}", description=f"{method} on {market}",
        owner=chance.choice(people), desk=f"desk{number % 20}", purpose=f"Timing of {market}",
        tier=chance.choice(("low", "medium", "high")), operators=["otto"], limits={"gross": 2.0},
        tags={"market": market}, n_numbers=EACH_MODEL, changed_at=NEWEST,
    )  # fmt: skip


def _version(number: int, models: list[Any], chance: random.Random) -> Any:
    from registry.artifacts.manifest import FileEntry, Manifest
    from registry.lifecycle import Stage, VersionStatus
    from registry.models import ModelVersion

    model, own = models[number // EACH_MODEL % len(models)], number % EACH_MODEL + 1
    names = ("MLmodel", "model.skops", "requirements.txt", "signature.json")
    manifest = Manifest.of(
        FileEntry(name, hashlib.sha256(f"{number}/{name}".encode()).hexdigest(), 1_000 + number)
        for name in names
    )
    # the newest is being made, the one before is in production, those before were
    ladder = {EACH_MODEL: Stage.DEVELOPMENT, EACH_MODEL - 1: Stage.PRODUCTION}
    stage = ladder.get(own, Stage.ARCHIVED if own % 3 else Stage.DEVELOPMENT)
    at = NEWEST - timedelta(minutes=5 * chance.randrange(100_000))
    fit, market = chance.choice(FITS), chance.choice(MARKETS)
    return ModelVersion(
        registered_model=model, number=own, stage=stage, stage_changed_at=at, changed_at=at,
        status=VersionStatus.READY if chance.random() < 0.97 else VersionStatus.QUARANTINED,
        left_development_at=at if stage == Stage.PRODUCTION else None,
        digest=manifest.version_digest, manifest=manifest.to_json(), n_files=len(names),
        n_bytes=manifest.n_bytes, format=chance.choice(("skops", "onnx", "safetensors")),
        model_path="model.skops", source=f"desk/{model.name}/{own}", run_id=f"{number:032x}",
        description=f"{fit} fit number {number} on {market}, window {chance.randrange(250)}",
        datasets=[hashlib.sha256(f"data {chance.randrange(500)}".encode()).hexdigest()],
        code_revision=hashlib.sha256(f"{number // 100}".encode()).hexdigest()[:40],
        signature={"inputs": [{"name": f"x{i}", "type": "double"} for i in range(20)]},
        framework={"sklearn": "1.9.1"}, parameters={f"p{i}": i for i in range(20)},
        metrics={f"m{i}": i / 7 for i in range(20)}, created_by_id=model.owner_id,
        tags={"market": market, "fit": fit, "batch": str(number // 100)},
    )  # fmt: skip


def _name_champions(versions: list[Any]) -> None:
    from registry.lifecycle import Stage
    from registry.models import ModelAlias

    ModelAlias.objects.bulk_create(
        ModelAlias(registered_model_id=one.registered_model_id, version=one, alias="champion")
        for one in versions
        if one.stage == Stage.PRODUCTION
    )


@contextmanager
def _web(folder: str) -> Iterator[subprocess.Popen[bytes]]:
    host, port = ADDRESS
    with socket.socket() as probe:
        if probe.connect_ex(ADDRESS) == 0:
            sys.exit(f"Something answers at {host}:{port} already.")
    argv = [
        *(sys.executable, "-m", "gunicorn", "crowetrade_site.wsgi:application"),
        *("--bind", f"{host}:{port}", "--no-control-socket", "--worker-class", "gthread"),
        *("--workers", "2", "--threads", "4", "--timeout", "60", "--keep-alive", "60"),
    ]
    with Path(folder, "web.log").open("wb") as log:
        server = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log)
    try:
        for _ in range(300):
            time.sleep(0.2)
            with socket.socket() as probe:
                if probe.connect_ex(ADDRESS) == 0:
                    break
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


# --- requests -------------------------------------------------------------------------


def _measure_requests(names: Names, n_rounds: int) -> None:
    """Print what each kind of request takes, of clients at full speed and at a steady pace."""
    rows: list[tuple[str, ...]] = [
        ("request", "alone p50", f"{CLIENTS} paced p50", "p99", f"{CLIENTS} at once p50", "p99",
         "a second", "CPU ms", "load")
    ]  # fmt: skip
    sys.setswitchinterval(0.0005)  # a client that reads does not wait for another that writes
    for name, ask in _kinds(names).items():
        _rate(names, ask, SECONDS / 4, CLIENTS)  # connections, plans, caches
        alone = min(_quantile(_rate(names, ask, SECONDS / 4, 1)[0], 0.5) for _ in range(n_rounds))
        paced = [_rate(names, ask, SECONDS, CLIENTS, PACE)[0] for _ in range(n_rounds)]
        before, n_done, closed = _cpu(), 0, []
        for _ in range(n_rounds):
            seconds, each = _rate(names, ask, SECONDS, CLIENTS)
            closed.append(seconds)
            n_done += each
        spent = _since(before)
        least = [
            f"{1000 * min(_quantile(one, share) for one in rounds):.1f}"
            for rounds in (paced, closed) for share in (0.5, 0.99)
        ]  # fmt: skip
        most = max(len(one) for one in closed) / SECONDS
        rows.append(
            (name, f"{1000 * alone:.1f}", *least, f"{most:.0f}",
             f"{1000 * spent / n_done:.1f}", f"{os.getloadavg()[0]:.1f}")
        )  # fmt: skip
        print(" ".join(rows[-1]), flush=True)
    print()
    table(rows)


def _kinds(names: Names) -> dict[str, Callable[[random.Random], str]]:
    """Return paths by what is asked for; each time of something else."""

    def versions(**query: Any) -> str:
        return f"/api/v1/versions/?{urlencode(query)}"

    def mlflow(text: str, **query: Any) -> str:
        return f"{MLFLOW}?{urlencode({'filter': text, 'max_results': 50} | query)}"

    def dataset(chance: random.Random) -> str:
        return hashlib.sha256(f"data {chance.randrange(500)}".encode()).hexdigest()

    return {
        "version by id": lambda c: f"/api/v1/versions/{c.choice(names.versions)}/",
        "MLflow: version by name, number": lambda c: (
            "/api/2.0/mlflow/model-versions/get?"
            f"{urlencode({'name': c.choice(names.models), 'version': c.randint(1, EACH_MODEL)})}"
        ),
        "MLflow: version by alias": lambda c: (
            "/api/2.0/mlflow/registered-models/alias?"
            f"{urlencode({'name': c.choice(names.models), 'alias': 'champion'})}"
        ),
        "newest versions": lambda _: versions(),
        "by model": lambda c: versions(model=c.choice(names.models)),
        "by stage and format": lambda c: versions(
            stage="production", format=c.choice(("onnx", "skops"))
        ),
        "by a common tag": lambda c: versions(tag=f"market:{c.choice(MARKETS)}"),
        "by a rare tag": lambda c: versions(tag=f"batch:{c.randrange(1000)}"),
        "by dataset": lambda c: versions(dataset=dataset(c)),
        "by digest": lambda _: versions(digest="0" * 64),
        "by author and status": lambda c: versions(
            created_by=f"client-{c.randrange(CLIENTS)}", status="quarantined"
        ),
        "by alias": lambda _: versions(alias="champion"),
        "word, many have it": lambda c: versions(q=c.choice(MARKETS)),
        "two words": lambda c: versions(q=f"{c.choice(FITS)} {c.choice(MARKETS)}"),
        "word, one has it": lambda c: versions(q=f"{c.randrange(10_000, 99_999)}"),
        "beginning of a word": lambda c: versions(q=c.choice(METHODS)[:4]),
        "word, none has it": lambda _: versions(q="zebra"),
        "MLflow: name =": lambda c: mlflow(f"name = '{c.choice(names.models)}'"),
        "MLflow: name LIKE, beginning": lambda c: mlflow(f"name LIKE '{c.choice(METHODS)}%'"),
        "MLflow: name ILIKE, middle": lambda c: mlflow(f"name ILIKE '%{c.choice(MARKETS)}%'"),
        "MLflow: tag =": lambda c: mlflow(f"tags.market = '{c.choice(MARKETS)}'"),
        "MLflow: rare tag =": lambda c: mlflow(f"tags.batch = '{c.randrange(1000)}'"),
        "MLflow: tag LIKE": lambda c: mlflow(f"tags.fit LIKE '{c.choice(FITS)[:3]}%'"),
        "MLflow: run_id =": lambda c: mlflow(f"run_id = '{c.randrange(100_000):032x}'"),
        "MLflow: source LIKE": lambda c: mlflow(f"source_path LIKE '%{c.choice(names.models)}%'"),
        "MLflow: by creation": lambda _: mlflow("", order_by="creation_timestamp DESC"),
        "MLflow: by name": lambda _: mlflow("", order_by="name ASC"),
        "MLflow: stage =": lambda _: mlflow("tags.`registry.stage` = 'production'"),
    }


def _rate(
    names: Names, ask: Callable[[random.Random], str], seconds: float, n_clients: int,
    pace: float = 0.0,
) -> tuple[list[float], int]:  # fmt: skip
    """Return the seconds of each request of so many clients, and how many there were."""

    def client(number: int) -> list[float]:
        taken: list[float] = []
        chance = random.Random(number + time.time_ns())  # noqa: S311 - a draw of rows
        link = _Link(names.tokens[number])
        end, due = time.perf_counter() + seconds, time.perf_counter()
        due += chance.random() / pace if pace else 0.0
        while time.perf_counter() < end:
            if pace:
                time.sleep(max(0.0, due - time.perf_counter()))
                due += 1 / pace
            taken.append(link.get(ask(chance)))
        link.close()
        return taken

    with ThreadPoolExecutor(n_clients) as pool:
        found = [one for taken in pool.map(client, range(n_clients)) for one in taken]
    return found, len(found)


class _Link:
    """A connection that stays open; its answers are read and not parsed, at little cost."""

    def __init__(self, token: str) -> None:
        self._socket = socket.create_connection(ADDRESS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._head = f"Host: {ADDRESS[0]}\r\nAuthorization: Bearer {token}\r\n\r\n"

    def get(self, path: str) -> float:
        began = time.perf_counter()
        self._socket.sendall(f"GET {path} HTTP/1.1\r\n{self._head}".encode())
        status = self._file.readline()
        size = 0
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        body = self._file.read(size)
        taken = time.perf_counter() - began
        if b" 200 " not in status:
            sys.exit(f"{path}: {status!r} {body[:300]!r}")
        return taken

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def _quantile(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _cpu() -> dict[str, int]:
    """Return the ticks that each web process and database session of ours has used."""
    ticks = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            if b"crowetrade_bench" in words or f"{ADDRESS[0]}:{ADDRESS[1]}".encode() in words:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                ticks[folder.name] = int(fields[11]) + int(fields[12])
        except OSError:  # it has ended
            continue
    return ticks


def _since(before: dict[str, int]) -> float:
    """Return the seconds of processors since then; a session that has ended since is left out."""
    ticks = sum(used - before.get(name, 0) for name, used in _cpu().items())
    return ticks / os.sysconf("SC_CLK_TCK")


# --- loading --------------------------------------------------------------------------


def _measure_loading(n_rounds: int) -> None:
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
            bare.append(_seconds(partial(_plain, path, plain)))
            loading.model_cache.cache_clear()
            _empty_disk()
            first.append(_seconds(partial(selectors.load, uri)))
            loading.model_cache.cache_clear()
            cold.append(_seconds(partial(selectors.load, uri)))
            warm += [_seconds(partial(selectors.load, uri)) for _ in range(200)]
        loading.model_cache.cache_clear()
        rows.append(
            (name, f"{len(stored) / 1e6:.1f}", f"{1000 * _quantile(warm, 0.5):.2f}",
             *(f"{1000 * min(times):.1f}" for times in (cold, first, bare)),
             f"{min(cold) / min(bare):.2f}", f"{os.getloadavg()[0]:.1f}")
        )  # fmt: skip
    table(rows)
    print()


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


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


# --- upload ---------------------------------------------------------------------------


def _measure_upload(server: subprocess.Popen[bytes], token: str) -> None:
    """Print what an upload of a gigabyte, and its download, do to the web processes' memory."""
    rows: list[tuple[str, ...]] = [("1 GiB", "s", "MB/s", "web process grew by MB", "load")]
    piece = random.Random(7).randbytes(2**20)  # noqa: S311 - bytes to send
    digest = hashlib.sha256()
    for _ in range(UPLOAD_BYTES // len(piece)):
        digest.update(piece)
    for name, work in {
        "PUT": lambda: _put(token, piece, digest.hexdigest(), "desk/large/whole.bin"),
        "PATCH, pieces of 64 MiB": lambda: _patch(token, piece, digest.hexdigest()),
    }.items():
        processes = _children(server.pid)
        _put(token, b"x", hashlib.sha256(b"x").hexdigest(), f"desk/{len(rows)}/small.bin", 1)
        before = {pid: _status(pid, "VmRSS") for pid in processes}
        for pid in processes:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
        taken = _seconds(work)
        grown = max(_status(pid, "VmHWM") - before[pid] for pid in processes)
        rows.append((name, f"{taken:.1f}", f"{UPLOAD_BYTES / 1e6 / taken:.0f}", f"{grown:.1f}",
                     f"{os.getloadavg()[0]:.1f}"))  # fmt: skip
    path = Path(os.environ["CROWETRADE_HOME"], "plain.bin")

    def plain() -> None:
        hashed = hashlib.sha256()
        with path.open("wb") as file:
            for _ in range(UPLOAD_BYTES // len(piece)):
                hashed.update(piece)
                file.write(piece)
            os.fsync(file.fileno())

    taken = _seconds(plain)
    rows.append(("hash, write, fsync alone", f"{taken:.1f}", f"{UPLOAD_BYTES / 1e6 / taken:.0f}",
                 "–", f"{os.getloadavg()[0]:.1f}"))  # fmt: skip
    table(rows)


def _send(
    verb: str, path: str, token: str, headers: dict[str, str], body: Any = None
) -> dict[str, Any]:
    link = http.client.HTTPConnection(*ADDRESS, timeout=300, blocksize=2**20)
    link.request(verb, path, body=body, headers={"Authorization": f"Bearer {token}"} | headers)
    answer = link.getresponse()
    said = answer.read()
    link.close()
    if answer.status >= 300:
        sys.exit(f"{verb} {path}: {answer.status} {said[:300]!r}")
    return dict(json.loads(said)) if said else {}


def _put(token: str, piece: bytes, sha256: str, path: str, n_bytes: int = UPLOAD_BYTES) -> None:
    headers = {"Content-Length": str(n_bytes), "X-Content-SHA256": sha256}
    pieces = (piece for _ in range(n_bytes // len(piece)))
    _send("PUT", f"/api/v1/files/{path}", token, headers, pieces)


def _patch(token: str, piece: bytes, sha256: str) -> None:
    told = {"path": "desk/large/parts.bin", "n_bytes": UPLOAD_BYTES, "sha256": sha256}
    kind = {"Content-Type": "application/json"}
    upload = _send("POST", "/api/v1/uploads/", token, kind, json.dumps(told))
    part = 64 * len(piece)
    for offset in range(0, UPLOAD_BYTES, part):
        headers = {
            "Content-Length": str(part), "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
        }  # fmt: skip
        pieces = (piece for _ in range(64))
        _send("PATCH", f"/api/v1/uploads/{upload['id']}/", token, headers, pieces)


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _status(pid: int, field: str) -> float:
    """Return a field of a process's status [MB]."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    _in_a_place_of_its_own()
