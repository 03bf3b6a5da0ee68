"""Under which account a server runs that refuses to run as root."""

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from crowetrade_site.embedded.errors import EmbeddedError

FALLBACK = "nobody"
USUAL_UID = 1000


@dataclass(frozen=True)
class Account:
    """How to start a program: words before its own, and the account to change to."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    def own(self, folder: Path) -> None:
        """Give a folder and all in it to the account, when the account is not ours."""
        if self.uid is None or self.gid is None or folder.lstat().st_uid == self.uid:
            return
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.lchown(Path(parent) / name, self.uid, self.gid)
        os.lchown(folder, self.uid, self.gid)  # last: a crash half-way is repeated


def choose(data_folder: Path, programs: Path) -> Account:
    """Return the account for a server that refuses root.

    Parameters
    ----------
    data_folder : Path
        The server's folder; it may be missing still. Another owner than root decides.
    programs : Path
        The folder of the server's programs.

    Raises
    ------
    EmbeddedError
        We are root, user namespaces are refused (as in most containers), and the
        unprivileged account cannot reach one of the folders.

    Notes
    -----
    As root the server gets a user namespace of its own, where our files seem to belong to
    an ordinary account: nothing changes hands on disk. The account's number must be in
    the system's list, because ``initdb`` looks up its name.
    """
    if os.geteuid() != 0:
        return Account()
    owner = data_folder.stat().st_uid if data_folder.exists() else 0
    if owner == 0 and (prefix := _namespace()):
        return Account(prefix=prefix)
    entry = _entry(owner)
    for path in (data_folder.parent, programs / "x"):
        _require_reachable(path)
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def open_path(account: Account, *folders: Path) -> None:
    """Let the account pass through (not list) our own folders on its way to its own."""
    if account.uid is not None:
        for folder in folders:
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o011)


def _namespace() -> tuple[str, ...] | None:
    program = shutil.which("unshare")
    if program is None:
        return None
    entry = _mapped()
    words = (program, "--user", f"--map-user={entry.pw_uid}", f"--map-group={entry.pw_gid}", "--")
    probe = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if probe.returncode == 0 else None


def _mapped() -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(USUAL_UID)
    except KeyError:
        return _entry(0)


def _entry(owner: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(owner) if owner else pwd.getpwnam(FALLBACK)
    except KeyError:
        raise EmbeddedError(
            "PostgreSQL does not run as root, and this system has no account for it.",
            cure="Run CroweTrade as an ordinary user, or set DATABASE_URL.",
        ) from None


def _require_reachable(path: Path) -> None:
    for parent in path.resolve().parents:
        if not parent.stat().st_mode & stat.S_IXOTH:
            raise EmbeddedError(
                "PostgreSQL does not run as root, user namespaces are refused here, and an "
                f"unprivileged account cannot reach {path} because {parent} is closed.",
                cure="Run CroweTrade as an ordinary user, allow user namespaces, set "
                "CROWETRADE_HOME (and install the environment) outside of closed folders, or "
                "set DATABASE_URL.",
            )
