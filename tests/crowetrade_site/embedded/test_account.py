"""Servers under other accounts: root without user namespaces, and an ordinary user."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import psycopg
import pytest

from crowetrade_site.embedded import account
from crowetrade_site.embedded.binaries import postgres_bin
from crowetrade_site.embedded.errors import EmbeddedError
from crowetrade_site.embedded.postgres import Postgres
from tests.crowetrade_site.embedded.conftest import PROJECT, leave_nothing
from tests.crowetrade_site.embedded.faults import kill

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534


@pytest.fixture
def no_namespaces(monkeypatch):
    """Refuse user namespaces, as most containers do."""
    monkeypatch.setattr(account, "_namespace", lambda: None)


@pytest.fixture
def nobody_python():
    """Give an interpreter of our version that `nobody` can run, with our packages."""
    for program in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", program]
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(Path(psycopg.__file__).parents[1])]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        probe = [*argv, "-c", "import crowetrade_site.embedded"]
        try:
            subprocess.run(probe, env=environment, cwd="/", check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return argv, environment
    pytest.skip("the account nobody can run no Python with the project's packages here")


@as_root
class TestChoose:
    def test_root_gets_a_namespace_where_nothing_changes_hands(self, home):
        if account._namespace() is None:
            pytest.skip("user namespaces are refused here")
        server = Postgres(home)

        server.ensure_running()

        assert (home / "postgres").stat().st_uid == 0
        assert Path(f"/proc/{server.pid()}/uid_map").read_text().split()[1:] == ["0", "1"]

    def test_the_mapped_account_exists_because_initdb_looks_it_up(self, monkeypatch):
        real = pwd.getpwuid

        def without_the_usual(uid):
            if uid == account.USUAL_UID:
                raise KeyError(uid)
            return real(uid)

        monkeypatch.setattr(pwd, "getpwuid", without_the_usual)

        assert account._mapped().pw_name == "nobody"

    def test_without_namespaces_an_unprivileged_account_owns_the_data(self, home, no_namespaces):
        server = Postgres(home)

        server.ensure_running()

        assert {p.stat().st_uid for p in (server.folder, server.socket.parent)} == {NOBODY}
        assert Path(f"/proc/{server.pid()}").stat().st_uid == NOBODY
        assert home.stat().st_mode & 0o077 == 0o011  # passed through, not listed
        kill(server.pid())
        server.ensure_running()
        server.stop()

    def test_data_made_in_a_namespace_is_handed_over(self, home, monkeypatch):
        server = Postgres(home)
        server.ensure_running()
        server.stop()
        monkeypatch.setattr(account, "_namespace", lambda: None)

        server.ensure_running()
        server.stop()
        monkeypatch.undo()
        server.ensure_running()  # its owner decides, namespaces or not

        assert Path(f"/proc/{server.pid()}").stat().st_uid == NOBODY

    def test_a_closed_folder_on_the_way_is_named(self, home, no_namespaces):
        (home / "closed").mkdir(mode=0o700)
        (home / "closed" / "home").mkdir()

        with pytest.raises(EmbeddedError, match=rf"{home}/closed is closed.*CROWETRADE_HOME"):
            account.choose(home / "closed" / "home" / "postgres", postgres_bin())


@as_root
class TestOrdinaryUser:
    CODE = """
        from crowetrade_site import embedded
        embedded.attach(postgres=True, broker=True)
        print([one.state for one in embedded.status()])
    """

    def run(self, nobody_python, home):
        argv, environment = nobody_python
        return subprocess.run(
            [*argv, "-c", textwrap.dedent(self.CODE)],
            env={**environment, "CROWETRADE_HOME": str(home)},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

    def test_runs_both_servers(self, nobody_python):
        home = Path(tempfile.mkdtemp(prefix="ct-"))
        os.chown(home, NOBODY, NOBODY)
        try:
            result = self.run(nobody_python, home)

            assert result.stderr == ""
            assert result.stdout.strip() == "['running', 'running']"
            assert (home / "postgres").stat().st_uid == NOBODY
            assert not Postgres(home).is_running()
        finally:
            leave_nothing(home)
            shutil.rmtree(home)

    def test_is_told_when_the_home_belongs_to_somebody_else(self, nobody_python, home):
        home.chmod(0o755)

        result = self.run(nobody_python, home)

        assert "cannot be written: Permission denied. Let this account write there" in result.stderr

    def test_root_runs_the_server_of_a_users_home_as_that_user(self, nobody_python):
        home = Path(tempfile.mkdtemp(prefix="ct-"))
        os.chown(home, NOBODY, NOBODY)
        try:
            self.run(nobody_python, home)
            server = Postgres(home)

            server.ensure_running()

            assert Path(f"/proc/{server.pid()}").stat().st_uid == NOBODY
            server.stop()
        finally:
            leave_nothing(home)
            shutil.rmtree(home)
