"""`manage.py serve`: web server, worker and beat as one, on whatever servers are configured."""

import hashlib
import http.client
import os
import signal
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from celery import Celery
from celery.app.utils import find_app
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from crowetrade_site import embedded
from crowetrade_site.core import services
from crowetrade_site.core.commands import migrate
from crowetrade_site.embedded.home import PROJECT_ROOT, home, log_dir
from crowetrade_site.embedded.supervisor import Child, Supervisor

GRACE_SECONDS = 20.0
READY_SECONDS = 120.0
COLLECTED = ".collected"
UPKEEP = "upkeep"


class Command(BaseCommand):
    help = "Run web server, worker and beat until Ctrl-C; start database and broker if none is set."

    def add_arguments(self, parser: ArgumentParser) -> None:
        cores = os.cpu_count() or 1
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on")
        parser.add_argument("--workers", type=int, default=2, help="web server processes")
        parser.add_argument("--concurrency", type=int, default=cores, help="tasks at a time")
        parser.add_argument("--echo", action="store_true", help="show the logs here as well")

    def handle(self, *_: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _leave)  # a clean end, whatever the moment
        host, port = options["host"], options["port"]
        try:
            require_free(host, port)
            self.stdout.write("Starting database, web server, workers and beat …")
            self.stdout.flush()
            self._prepare()
            children = [
                web(host, port, options["workers"]),
                worker(port, options["concurrency"]),
                upkeep(port),
                beat(),
            ]
            self._run(children, f"http://{authority(host, port)}/", echo=options["echo"])
        except embedded.EmbeddedError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise SystemExit(130) from None

    def _prepare(self) -> None:
        embedded.attach(postgres=settings.EMBEDDED_POSTGRES, broker=settings.EMBEDDED_BROKER)
        if settings.EMBEDDED_POSTGRES or settings.EMBEDDED_BROKER:
            embedded.watch()
        migrate()
        collect_static()
        password = services.ensure_admin()
        connections.close_all()
        if password is not None:
            self.stdout.write(f"User admin, password {password} (shown this once).")

    def _run(self, children: list[Child], address: str, *, echo: bool) -> None:
        supervisor = Supervisor(
            children,
            log_dir(home()),
            echo=echo,
            ready_seconds=READY_SECONDS,
            grace_seconds=GRACE_SECONDS,
        )
        with supervisor:
            if not supervisor.is_ending:
                logs = log_dir(home())
                self.stdout.write(f"CroweTrade is at {address} (logs in {logs}). Ctrl-C ends it.")
                self.stdout.flush()
            code = supervisor.wait()
        if code:
            raise SystemExit(code)


def web(host: str, port: int, workers: int) -> Child:
    """Return the web server."""
    argv = [
        *(sys.executable, "-m", "gunicorn", "crowetrade_site.wsgi:application"),
        *("--bind", authority(host, port), "--no-control-socket"),
        *("--worker-class", "crowetrade_site.web.BalancedWorker"),
        *("--workers", str(workers), "--threads", "4"),
        *("--timeout", "60", "--graceful-timeout", "10"),
    ]
    reach = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared only
    return Child("web", argv, ready=lambda: _answers(reach, port), restarts=True, cwd=PROJECT_ROOT)


def worker(port: int, concurrency: int) -> Child:
    """Return the worker that computes; it serves every queue but that of upkeep."""
    pool = ["-O", "fair", "--prefetch-multiplier", "1", "--concurrency", str(concurrency)]
    return _celery_worker("worker", port, [name for name in queues() if name != UPKEEP], pool)


def upkeep(port: int) -> Child:
    """Return the worker that reaps and seals, so that long runs never keep it waiting."""
    no_kernels = {"CROWETRADE_WARM_UP": "0"}
    return _celery_worker("upkeep", port, [UPKEEP], ["--pool", "solo"], no_kernels, "WARNING")


def _celery_worker(
    name: str,
    port: int,
    served: list[str],
    pool: list[str],
    env: Mapping[str, str] | None = None,
    level: str = "INFO",
) -> Child:
    node = f"{name}-{port}@{socket.gethostname()}"
    argv = [
        *(sys.executable, "-m", "celery", "-A", "crowetrade_site", "worker", *pool),
        *("--queues", ",".join(served), "--hostname", node, "--loglevel", level),
        *("--without-mingle", "--without-gossip"),
    ]

    def ready() -> bool:
        return bool(_app().control.ping(destination=[node], timeout=0.5))

    return Child(name, argv, env or {}, ready=ready, restarts=True, cwd=PROJECT_ROOT)


def beat() -> Child:
    """Return the scheduler."""
    argv = [
        *(sys.executable, "-m", "celery", "-A", "crowetrade_site", "beat"),
        *("--schedule", str(home() / "celerybeat-schedule"), "--pidfile", ""),
        *("--loglevel", "WARNING"),
    ]
    return Child("beat", argv, restarts=True, cwd=PROJECT_ROOT)


def queues() -> list[str]:
    """Return the names of the default queue, the declared ones and those of the routes."""
    configured = _app().conf
    found = {str(configured.task_default_queue)}
    found.update(queue.name for queue in configured.task_queues or ())
    routes = configured.task_routes or {}
    found.update(route["queue"] for route in routes.values() if "queue" in route)
    return sorted(found)


def _app() -> Celery:
    return find_app("crowetrade_site")


def authority(host: str, port: int) -> str:
    """Return host and port as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def require_free(host: str, port: int) -> None:
    """Raise CommandError unless the address can be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CommandError(
                f"Cannot listen on {authority(host, port)}: {reason}. "
                "End what uses it, or choose another with --host and --port "
                "(make serve ARGS='--port 8001')."
            ) from None


def collect_static() -> None:
    """Collect static files unless exactly the present ones were collected before."""
    root = Path(settings.STATIC_ROOT)
    digest = hashlib.sha256("\n".join(sorted(_static_files())).encode()).hexdigest()
    mark = root / COLLECTED
    if not mark.is_file() or mark.read_text() != digest:
        root.mkdir(parents=True, exist_ok=True)
        call_command("collectstatic", interactive=False, verbosity=0)
        mark.write_text(digest)


def _static_files() -> Iterator[str]:
    for finder in get_finders():
        for name, storage in finder.list([]):
            found = Path(storage.path(name)).stat()
            yield f"{name} {found.st_size} {found.st_mtime_ns}"


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _leave(*_: object) -> None:
    raise SystemExit(143)
