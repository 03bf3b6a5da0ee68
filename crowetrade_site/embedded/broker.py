"""A private Valkey server under the home folder that keeps the queues of Celery."""

import signal
import socket
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from crowetrade_site.embedded.account import Account
from crowetrade_site.embedded.binaries import valkey_server
from crowetrade_site.embedded.daemon import Daemon, Health
from crowetrade_site.embedded.errors import EmbeddedError
from crowetrade_site.embedded.home import folder

ASK_SECONDS = 2.0
OURS = {"appendonlydir"}


class Broker(Daemon):
    """The embedded message broker of a home folder.

    Parameters
    ----------
    home : Path
        The folder that holds the data (``broker``), the log and the locks.

    Notes
    -----
    Every write goes to an append-only file that is flushed to disk once a second: a kill
    loses no message, a power cut at most the last second (the run table is the record).
    """

    name: ClassVar[str] = "broker"
    title: ClassVar[str] = "embedded broker (Valkey)"
    program: ClassVar[str] = "valkey-server"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    orphan_signal: ClassVar[signal.Signals] = signal.SIGTERM

    @property
    def socket(self) -> Path:
        """The server's socket."""
        return self.sockets / "valkey.sock"

    def url(self) -> str:
        """Return the URL by which Celery reaches the broker; nothing is started for that."""
        return f"redis+socket://{quote(str(self.socket))}"

    def health(self) -> Health:
        """Ask the server whether it takes commands; loading its file it does not yet."""
        answer = self._ask("PING")
        if answer is None:
            return Health.SILENT
        return Health.ANSWERS if answer.startswith("+PONG") else Health.BUSY

    def version(self) -> str:
        """Return the server's version, empty when it is stopped."""
        for line in (self._ask("INFO server") or "").splitlines():
            if line.startswith("valkey_version:"):
                return line.partition(":")[2]
        return ""

    def _ask(self, command: str) -> str | None:
        """Return the start of an answer, empty when none comes, None when nobody listens."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(ASK_SECONDS)
            try:
                client.connect(str(self.socket))
            except BlockingIOError:
                return ""
            except OSError:
                return None
            try:
                client.sendall(f"{command}\r\n".encode())
                return client.recv(16_384).decode(errors="replace")
            except OSError:
                return ""

    def _is_complete(self) -> bool:
        return True

    def _complete(self) -> None:
        """Do nothing: queues appear with their first message."""

    def _prepare(self, _lock: int) -> Account:
        if self.folder.is_dir() and (found := {entry.name for entry in self.folder.iterdir()}):
            foreign = {name for name in found - OURS if not name.startswith("temp-")}
            if foreign:
                raise EmbeddedError(
                    f"{self.folder} is in the way: it holds {min(foreign)}, which is not ours.",
                    cure="Move it away, or point CROWETRADE_HOME to another folder.",
                )
        folder(self.folder)
        return Account()

    def _command(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
            "maxmemory-policy": "noeviction",
            "enable-protected-configs": "no",
            "enable-debug-command": "no",
        }
        options = [word for name, text in settings.items() for word in (f"--{name}", text)]
        return [str(valkey_server()), *options]
