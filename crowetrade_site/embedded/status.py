"""What `manage.py doctor` says about the embedded servers."""

import os
from dataclasses import dataclass

from crowetrade_site.embedded.broker import Broker
from crowetrade_site.embedded.daemon import Daemon
from crowetrade_site.embedded.errors import EmbeddedError
from crowetrade_site.embedded.home import home
from crowetrade_site.embedded.postgres import Postgres

SERVICES: tuple[tuple[type[Daemon], str], ...] = (
    (Postgres, "DATABASE_URL"),
    (Broker, "CELERY_BROKER_URL"),
)


@dataclass(frozen=True)
class ServiceStatus:
    """The state of one embedded server.

    Attributes
    ----------
    service : str
        ``postgres`` or ``broker``.
    state : str
        ``running``, ``not ready``, ``stopped`` or ``not used``.
    where : str
        Its socket, or the variable that names another server.
    version : str
        Empty when it cannot be told.
    pid : int or None
        The process that listens, None when there is none.
    detail : str
        Its data folder, or what is wrong and the cure.
    """

    service: str
    state: str
    where: str
    version: str = ""
    pid: int | None = None
    detail: str = ""


def status() -> list[ServiceStatus]:
    """Return the state of both servers; nothing is started."""
    return [_status(kind, variable) for kind, variable in SERVICES]


def _status(kind: type[Daemon], variable: str) -> ServiceStatus:
    if os.environ.get(variable, "").strip():
        return ServiceStatus(kind.name, "not used", where=variable)
    try:
        daemon = kind(home())
        return ServiceStatus(
            service=daemon.name,
            state=daemon.health().value,
            where=str(daemon.socket),
            version=daemon.version(),
            pid=daemon.pid(),
            detail=f"in {daemon.folder}, log {daemon.log}",
        )
    except EmbeddedError as error:
        return ServiceStatus(kind.name, "stopped", where="", detail=str(error))
