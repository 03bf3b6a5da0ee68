"""The Celery application: routes, the beat schedule, and what a worker does when it starts."""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crowetrade_site.settings")

app = Celery("crowetrade")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

app.conf.task_default_queue = "interactive"
app.conf.task_routes = {
    "backtests.tasks.execute_chunk": {"queue": "batch"},
    "backtests.tasks.prune_artifacts": {"queue": "interactive"},  # may take long
    "backtests.tasks.collect_files": {"queue": "interactive"},
    "backtests.tasks.reap_runs": {"queue": "upkeep"},
    "crowetrade_site.core.tasks.seal_audit": {"queue": "upkeep"},
    "experiments.tasks.keep_tables": {"queue": "upkeep"},
    "experiments.tasks.refresh_experiments": {"queue": "upkeep"},
    "registry.tasks.expire_promotions": {"queue": "upkeep"},
    "registry.tasks.expire_uploads": {"queue": "upkeep"},
    "registry.tasks.reap_versions": {"queue": "upkeep"},
    "registry.tasks.verify_versions": {"queue": "interactive"},  # reads large files
}
app.conf.beat_schedule = {
    "seal-audit": {
        "task": "crowetrade_site.core.tasks.seal_audit",
        "schedule": float(settings.AUDIT_SEAL_SECONDS),
        "options": {"expires": 30},
    },
    "reap-runs": {
        "task": "backtests.tasks.reap_runs",
        "schedule": 2.0,
        "options": {"expires": 10},
    },
    "refresh-experiments": {
        "task": "experiments.tasks.refresh_experiments",
        "schedule": 2.0,
        "options": {"expires": 10},
    },
    "keep-experiment-tables": {
        "task": "experiments.tasks.keep_tables",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "reap-versions": {
        "task": "registry.tasks.reap_versions",
        "schedule": 5.0,
        "options": {"expires": 10},
    },
    "expire-promotions": {
        "task": "registry.tasks.expire_promotions",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "expire-uploads": {
        "task": "registry.tasks.expire_uploads",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "verify-versions": {
        "task": "registry.tasks.verify_versions",
        "schedule": 86_400.0,
        "options": {"expires": 86_400},
    },
    "collect-files": {
        "task": "backtests.tasks.collect_files",
        "schedule": float(settings.RETENTION_EVERY_SECONDS),
        "options": {"expires": settings.RETENTION_EVERY_SECONDS},
    },
    "prune-artifacts": {
        "task": "backtests.tasks.prune_artifacts",
        "schedule": float(settings.RETENTION_EVERY_SECONDS),
        "options": {"expires": settings.RETENTION_EVERY_SECONDS},
    },
}


@celeryd_init.connect
def _one_thread_per_child(**_: Any) -> None:
    """Keep numeric libraries from starting a thread per core in every child."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")


@celeryd_init.connect
@beat_init.connect
def _hold_embedded_services(**_: Any) -> None:
    """Attach to the embedded services and heal them while this process lives."""
    from crowetrade_site import embedded

    if settings.EMBEDDED_POSTGRES or settings.EMBEDDED_BROKER:
        embedded.attach(postgres=settings.EMBEDDED_POSTGRES, broker=settings.EMBEDDED_BROKER)
        embedded.watch()
