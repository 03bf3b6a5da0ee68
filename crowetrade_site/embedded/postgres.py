"""A private PostgreSQL under the home folder, reached through a Unix socket alone."""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from crowetrade_site.embedded import account as accounts
from crowetrade_site.embedded import processes
from crowetrade_site.embedded.account import Account
from crowetrade_site.embedded.binaries import POSTGRES_MAJOR, postgres_bin
from crowetrade_site.embedded.daemon import Daemon, Health
from crowetrade_site.embedded.errors import EmbeddedError
from crowetrade_site.embedded.home import folder, run_dir, unwritable

NAME = "crowetrade"
PORT = "5432"
UNFINISHED = "postgres-unfinished-"
# "trust" is as strict as the folder of the socket: mode 0700, and there is no TCP.
INITDB = (
    f"--username={NAME}",
    "--auth-local=trust",
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--text-search-config=english",
)
# Said while children of a killed server still hold its shared memory or its pid file.
PASSING = ("pre-existing shared memory block", 'lock file "')


class Postgres(Daemon):
    """The embedded database server of a home folder.

    Parameters
    ----------
    home : Path
        The folder that holds the data (``postgres``), the log and the locks.
    """

    name: ClassVar[str] = "postgres"
    title: ClassVar[str] = "embedded PostgreSQL"
    program: ClassVar[str] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": ends the sessions, checkpoints
    orphan_signal: ClassVar[signal.Signals] = signal.SIGQUIT  # a recovery follows in any case

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._has_database = False

    @property
    def socket(self) -> Path:
        """The server's socket."""
        return self.sockets / "pg" / f".s.PGSQL.{PORT}"

    def connection(self) -> dict[str, str]:
        """Return Django's HOST, PORT, USER and NAME; nothing is started for that."""
        return {"HOST": str(self.socket.parent), "PORT": PORT, "USER": NAME, "NAME": NAME}

    def health(self) -> Health:
        """Ask the server, as ``pg_isready`` does, whether it takes connections."""
        if self.pid() is None:
            return Health.SILENT
        question = make_conninfo(**self._reach, connect_timeout=2)
        return Health.ANSWERS if PGconn.ping(question.encode()) == Ping.OK else Health.BUSY

    def version(self) -> str:
        """Return the server's version, or that of the stopped data folder."""
        if self.is_running():
            with self._connect() as server:
                return server.info.parameter_status("server_version") or ""
        return self._made_by() or ""

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(make_conninfo(**self._reach), autocommit=True)

    @property
    def _reach(self) -> dict[str, str]:
        return {
            "host": str(self.socket.parent),
            "port": PORT,
            "user": NAME,
            "dbname": "postgres",
        }

    def _is_complete(self) -> bool:
        """Return whether our database exists; asked once in each process."""
        if not self._has_database:
            try:
                with self._connect() as server:
                    query = "SELECT FROM pg_database WHERE datname = %s"
                    self._has_database = server.execute(query, [NAME]).rowcount == 1
            except psycopg.OperationalError:  # it has just gone
                return False
        return self._has_database

    def _complete(self) -> None:
        if self._is_complete():
            return
        try:
            with self._connect() as server:
                server.execute(f"CREATE DATABASE {NAME}")
        except psycopg.Error as error:
            raise EmbeddedError(
                f"The database {NAME} cannot be created: {error}", cure=self._cure(str(error))
            ) from error

    def _prepare(self, lock: int) -> Account:
        account = accounts.choose(self.folder, postgres_bin())
        for leftover in self.home.glob(f"{UNFINISHED}*"):
            shutil.rmtree(leftover)
        self._refuse_foreign()
        sockets = folder(self.socket.parent)
        accounts.open_path(account, self.home, run_dir(self.home), self.sockets)
        account.own(sockets)
        if self._made_by() is None:
            self._initialize(account, lock)
        account.own(self.folder)
        self._has_database = False
        return account

    def _made_by(self) -> str | None:
        try:
            return (self.folder / "PG_VERSION").read_text().strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def _refuse_foreign(self) -> None:
        made_by = self._made_by()
        if made_by == str(POSTGRES_MAJOR):
            return
        if made_by is not None:
            raise EmbeddedError(
                f"{self.folder} was made by PostgreSQL {made_by}; this is {POSTGRES_MAJOR}.",
                cure=f"Dump it with PostgreSQL {made_by} (pg_dump), move the folder away, start "
                "again and restore the dump; or serve it yourself and set DATABASE_URL.",
            )
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            return
        if self.folder.exists() or self.folder.is_symlink():
            raise EmbeddedError(
                f"{self.folder} is in the way: it is not a PostgreSQL data folder.",
                cure="Move it away, or point CROWETRADE_HOME to another folder.",
            )

    def _initialize(self, account: Account, lock: int) -> None:
        """Make the data folder under another name and rename it when it is whole."""
        try:
            made = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self.home))
        except OSError as error:
            raise unwritable(self.home, error) from error
        account.own(made)
        try:
            result = subprocess.run(
                [*account.prefix, str(postgres_bin() / "initdb"), f"--pgdata={made}", *INITDB],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                cwd="/",
                env=self._environment(),
                umask=0o077,
                pass_fds=[lock],
                user=account.uid,
                group=account.gid,
                extra_groups=None if account.uid is None else [],
                check=False,
            )
            if result.returncode != 0:
                said = "\n".join((result.stdout + result.stderr).splitlines()[-6:])
                raise EmbeddedError(f"initdb fails: {said}", cure=self._cure(said))
            made.rename(self.folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _command(self) -> list[str]:
        quoted = str(self.socket.parent).replace('"', '""')
        settings = {
            "listen_addresses": "",
            "port": PORT,
            "unix_socket_directories": f'"{quoted}"',
            "unix_socket_permissions": "0700",
            "synchronous_commit": "on",
            "logging_collector": "off",
            "log_destination": "stderr",
            "log_timezone": "UTC",
            "cluster_name": NAME,
        }
        options = [f"--{name}={text}" for name, text in settings.items()]
        return [str(postgres_bin() / "postgres"), "-D", str(self.folder), *options]

    def _clear_leftovers(self) -> None:
        """Remove the pid files of a dead server.

        Their number may belong to an unrelated process by now, for which PostgreSQL would
        refuse to start.
        """
        if processes.serving(self.program, self.folder):
            return
        for leftover in (
            self.folder / "postmaster.pid",
            self.socket.with_name(f"{self.socket.name}.lock"),
            self.socket,
        ):
            leftover.unlink(missing_ok=True)

    def _recorded_pid(self) -> int | None:
        """Return the number in the pid file, for comparing with processes found otherwise."""
        try:
            return int((self.folder / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None

    def _principals(self) -> list[int]:
        pid = self.pid()
        if pid is not None:
            return [pid]
        found = processes.serving(self.program, self.folder)
        return [one for one in found if one == self._recorded_pid()]

    def _strays(self) -> list[int]:
        """Return them with the server first: its children end with it."""
        return sorted(super()._strays(), key=lambda pid: pid != self._recorded_pid())

    def _signal_for_stray(self, pid: int) -> signal.Signals:
        return self.stop_signal if pid == self._recorded_pid() else self.orphan_signal

    def _is_passing(self, said: str) -> bool:
        return any(words in said for words in PASSING)
