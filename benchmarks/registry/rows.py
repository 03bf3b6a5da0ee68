"""A registry of 2,000 models and 100,000 versions, written as rows."""

import hashlib
import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

CLIENTS = 8
EACH_MODEL = 50  # versions
BATCH = 5_000
NEWEST = datetime(2026, 6, 1, tzinfo=UTC)
MARKETS = ("majors", "metals", "energy", "grains", "rates", "credit", "crypto", "equity")
METHODS = ("momentum", "carry", "value", "reversal", "breakout", "seasonal", "spread", "volatility")
FITS = ("gradient boosted", "ridge", "lasso", "forest", "network", "kalman", "spline", "linear")


@dataclass(frozen=True)
class Names:
    """What may be asked for."""

    models: list[str]
    versions: list[str]  # public ids
    tokens: list[str]  # one for each client


def furnish(n_versions: int) -> Names:
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
        cursor.execute("CHECKPOINT")  # which would come while the first requests are measured
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
