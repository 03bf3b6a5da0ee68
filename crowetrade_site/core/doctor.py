"""What must be right for the platform to work, each with its cure.

An app adds checks of its own with `register` when it starts.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from celery import current_app
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from crowetrade_site import embedded
from crowetrade_site.core import seals, storage
from crowetrade_site.core.errors import DomainError
from crowetrade_site.core.models import AuditSeal


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Diagnosis:
    """One check: what was looked at, how it is, and what to do if it is not well."""

    name: str
    state: State
    detail: str
    cure: str = ""


Check = Callable[[], Iterator[Diagnosis]]
_checks: list[Check] = []


def register(check: Check) -> Check:
    """Add a check to what the doctor looks at."""
    _checks.append(check)
    return check


def examine() -> Iterator[Diagnosis]:
    """Run every check; one that breaks is itself a finding."""
    for check in _checks:
        try:
            yield from check()
        except (DomainError, Error, OSError, embedded.EmbeddedError) as error:
            name = check.__name__.replace("_", " ")
            yield Diagnosis(
                name, State.FAILED, " ".join(str(error).split()), "mend the above first"
            )


def judge(name: str, detail: str, *, good: bool, cure: str, mild: bool = False) -> Diagnosis:
    """Return a diagnosis whose cure is named only when it is needed."""
    if good:
        return Diagnosis(name, State.OK, detail)
    return Diagnosis(name, State.WARNING if mild else State.FAILED, detail, cure)


@register
def python() -> Iterator[Diagnosis]:
    """Check interpreter and packages."""
    running = ".".join(str(part) for part in sys.version_info[:3])
    yield judge("Python", running, good=sys.version_info >= (3, 11), cure="install Python 3.11+")
    wrong = list(_packages_off())
    yield judge(
        "packages", ", ".join(wrong) or "as pinned", good=not wrong, mild=True,
        cure="install requirements/base.txt again: make demo or make serve does it",
    )  # fmt: skip


def _packages_off() -> Iterator[str]:
    """Name the packages whose version is not the pinned one."""
    pins = (settings.BASE_DIR / "requirements" / "base.txt").read_text().splitlines()
    for line in pins:
        if "==" not in line or line.startswith((" ", "#")) or ";" in line:
            continue
        name, _, pinned = line.rstrip(" \\").partition("==")
        name = name.partition("[")[0]
        try:
            there = version(name)
        except PackageNotFoundError:
            there = "missing"
        if there != pinned:
            yield f"{name} {there} (pinned {pinned})"


@register
def home_folder() -> Iterator[Diagnosis]:
    """Check the room for data."""
    home: Path = settings.HOME_DIR
    free = shutil.disk_usage(home).free
    yield judge(
        "home folder", f"{home}, {free / 2**30:.1f} GiB free",
        good=os.access(home, os.W_OK) and free > 2**30, mild=os.access(home, os.W_OK),
        cure="free some disk, or set CROWETRADE_HOME to a folder with room",
    )  # fmt: skip


@register
def database() -> Iterator[Diagnosis]:
    """Check PostgreSQL and its tables."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('fsync')"
        )
        number, fsync = cursor.fetchone()
    where = "embedded" if settings.EMBEDDED_POSTGRES else "DATABASE_URL"
    yield judge(
        "PostgreSQL", f"{where}, version {number // 10000}.{number % 10000}",
        good=number >= 150000, cure="upgrade to PostgreSQL 15 or newer",
    )  # fmt: skip
    yield judge("durability", f"fsync {fsync}", good=fsync == "on", cure="set fsync = on")
    executor = MigrationExecutor(connection)
    waiting = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    yield judge("migrations", f"{waiting} waiting", good=not waiting, cure="run: manage.py migrate")


@register
def broker() -> Iterator[Diagnosis]:
    """Check the broker and who listens."""
    if settings.EMBEDDED_BROKER:
        embedded.attach(postgres=False, broker=True)
    where = "embedded" if settings.EMBEDDED_BROKER else "CELERY_BROKER_URL"
    try:
        with current_app.connection_for_write() as link:
            link.ensure_connection(max_retries=1, timeout=3)
    except Exception as error:  # every transport has errors of its own
        yield Diagnosis("broker", State.FAILED, f"{where}: {error}", "start it or mend the URL")
        return
    yield Diagnosis("broker", State.OK, where)
    workers = current_app.control.ping(timeout=1.0) or []
    names = ", ".join(name for answer in workers for name in answer)
    yield judge(
        "workers", names or "none answers", good=bool(names), mild=True,
        cure="make serve starts one; a run waits in the queue until then",
    )  # fmt: skip


def _tables_exist() -> bool:
    return bool(MigrationRecorder(connection).applied_migrations())


@register
def artifact_store() -> Iterator[Diagnosis]:
    """Check that what is written is read back."""
    digest = storage.put(b"CroweTrade doctor")
    good = storage.read(digest) == b"CroweTrade doctor"
    where = settings.ARTIFACT_S3_BUCKET or settings.ARTIFACT_ROOT
    yield judge("artefact store", str(where), good=good, cure="check the storage's permissions")


@register
def audit_trail() -> Iterator[Diagnosis]:
    """Check triggers, key and seals."""
    if not _tables_exist():
        return
    guarded = _guards()
    yield judge(
        "audit triggers", f"{guarded} of 7 always on", good=guarded == 7,
        cure="somebody switched triggers off: run verify_audit, then ALTER TABLE … ENABLE ALWAYS",
    )  # fmt: skip
    key: Path = settings.AUDIT_SIGNING_KEY
    inside = key.is_relative_to(settings.HOME_DIR)
    yield judge(
        "signing key", f"{key}{', in the home folder' if inside else ''}",
        good=not inside or settings.EMBEDDED_POSTGRES, mild=True,
        cure="keep it elsewhere: set CROWETRADE_AUDIT_SIGNING_KEY and CROWETRADE_AUDIT_CHECKPOINTS",
    )  # fmt: skip
    waiting, since = seals.unsealed_count(), seals.waiting_since()
    last = AuditSeal.objects.order_by("-number").first()
    behind = since is not None and (timezone.now() - since).total_seconds() > 60
    yield judge(
        "seals", f"{waiting} entries wait, last seal {last.sealed_at:%Y-%m-%d %H:%M}" if last
        else f"{waiting} entries wait, no seal yet", good=not behind, mild=True,
        cure="the beat seals every few seconds: make serve, or manage.py seal_audit",
    )  # fmt: skip


def _guards() -> int:
    """Count the triggers of the audit tables that fire whatever the session says."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_trigger WHERE tgenabled = 'A' AND tgname LIKE 'audit\\_%'"
        )
        return int(cursor.fetchone()[0])


@register
def site_settings() -> Iterator[Diagnosis]:
    """Check settings that matter once others can reach the site."""
    public = set(settings.ALLOWED_HOSTS) - {"127.0.0.1", "localhost", "[::1]"}
    yield judge("debug", str(settings.DEBUG), good=not settings.DEBUG, mild=True,
                cure="unset CROWETRADE_DEBUG")  # fmt: skip
    yield judge(
        "transport", "HTTPS" if settings.HTTPS_ONLY else "plain HTTP",
        good=settings.HTTPS_ONLY or not public, mild=True,
        cure="put a TLS proxy before it and set CROWETRADE_HTTPS=1",
    )  # fmt: skip
    from numerics.compilation import cache_directory  # imports the compiler

    kernels = cache_directory()
    nearest = next(folder for folder in (kernels, *kernels.parents) if folder.exists())
    yield judge(
        "compiler cache", str(kernels), good=os.access(nearest, os.W_OK), mild=True,
        cure="set NUMBA_CACHE_DIR to a writable folder, or each worker compiles anew",
    )  # fmt: skip
