"""A place that is thrown away, and what is measured there."""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import benchmarks.registry
from benchmarks.registry.keys import measure_keys
from benchmarks.registry.loading import measure_loading
from benchmarks.registry.requests import measure_requests
from benchmarks.registry.rows import furnish
from benchmarks.registry.server import web
from benchmarks.registry.uploads import measure_uploads


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks registry", description=benchmarks.registry.__doc__
    )
    parser.add_argument("--versions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=("requests", "keys", "load", "upload"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ct-bench-") as folder, _database(folder):
        import django
        from django.core.management import call_command
        from django.db import connections

        from crowetrade_site import embedded

        django.setup()
        try:
            call_command("migrate", verbosity=0)
            names = furnish(asked.versions if asked.only in (None, "requests", "keys") else 100)
            if asked.only in (None, "load"):
                measure_loading(asked.rounds)
            if asked.only == "keys":  # it marks rows: not with the requests
                measure_keys(names)
                return
            with web(folder) as server:
                if asked.only in (None, "requests"):
                    measure_requests(names, asked.rounds)
                if asked.only in (None, "upload"):
                    measure_uploads(server, names.tokens[0])
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


if __name__ == "__main__":
    main()
