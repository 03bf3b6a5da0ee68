"""The home folder: where the embedded servers, their logs and their sockets live.

It is anchored to the project, not to the working directory, so that every process of
one installation finds the same servers wherever it was started.
"""

import hashlib
import os
import stat
from pathlib import Path

from crowetrade_site.embedded.errors import EmbeddedError

PROJECT_ROOT = Path(__file__).resolve().parents[2]
# sun_path of a Unix socket address holds 108 bytes, the last of them a NUL.
SOCKET_PATH_BYTES = 107
LONGEST_SOCKET = "pg/.s.PGSQL.5432"


def home() -> Path:
    """Return the home folder, created with mode 0700 when it is missing.

    Returns
    -------
    Path
        ``$CROWETRADE_HOME`` (a relative one starts at the project root) or
        ``<project root>/.crowetrade``; absolute, symbolic links resolved.

    Raises
    ------
    EmbeddedError
        It cannot be created, or something else has its name.
    """
    named = Path(os.environ.get("CROWETRADE_HOME") or ".crowetrade").expanduser()
    return folder((PROJECT_ROOT / named).resolve())


def folder(path: Path) -> Path:
    """Create a private folder when it is missing and return it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise EmbeddedError(
            f"{path} cannot be a folder: a file is in the way.",
            cure="Move that file away, or point CROWETRADE_HOME to another folder.",
        ) from None
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def unwritable(path: Path, error: OSError) -> EmbeddedError:
    """Return the error for a file or folder that cannot be written."""
    return EmbeddedError(
        f"{path} cannot be written: {error.strerror}.",
        cure="Let this account write there (and see that the disk is not full), or point "
        "CROWETRADE_HOME to a folder it owns.",
    )


def log_dir(home: Path) -> Path:
    """Return the folder of the log files, created when missing."""
    return folder(home / "log")


def run_dir(home: Path) -> Path:
    """Return the folder of the lock files, created when missing."""
    return folder(home / "run")


def socket_dir(home: Path) -> Path:
    """Return the folder for sockets; nothing is created.

    Notes
    -----
    ``<home>/run`` where a socket's path fits the kernel's limit, otherwise a short folder
    in ``/tmp`` named by account and home. Not in ``$TMPDIR`` or ``$XDG_RUNTIME_DIR``: they
    differ between a login, a cron job and a service, which must all find one server.
    """
    run = home / "run"
    fits = len(os.fsencode(run / LONGEST_SOCKET)) <= SOCKET_PATH_BYTES
    if fits and "," not in str(run):  # libpq takes a comma for a list of hosts
        return run
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path(f"/tmp/crowetrade-{_owner(home)}-{digest}")  # noqa: S108  checked by open_socket_dir


def _owner(home: Path) -> int:
    """Return the home's owner, not the caller: root and the owner must find one server."""
    try:
        return home.stat().st_uid
    except OSError:
        return os.geteuid()


def open_socket_dir(home: Path) -> Path:
    """Create the folder for sockets when missing, check that it is ours alone, return it.

    Raises
    ------
    EmbeddedError
        It is a link, belongs to another account or is open to others: somebody could
        have put a server of their own behind our socket's name.
    """
    path = socket_dir(home)
    if path.parent == home:
        return run_dir(home)
    owner = _owner(home)
    if not path.exists() and folder(path).stat().st_uid != owner:
        os.chown(path, owner, -1)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o066:
        raise EmbeddedError(
            f"The socket folder {path} is not a private folder of this account.",
            cure=f"Remove {path}, or set CROWETRADE_HOME to a path short enough for sockets "
            f"({SOCKET_PATH_BYTES - len(LONGEST_SOCKET) - 5} bytes).",
        )
    return path
