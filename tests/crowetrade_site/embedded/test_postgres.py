import os
import shutil
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from crowetrade_site.embedded import processes
from crowetrade_site.embedded.daemon import Health
from crowetrade_site.embedded.errors import EmbeddedError
from crowetrade_site.embedded.postgres import Postgres
from tests.crowetrade_site.embedded.faults import is_alive, kill, wait_until

ENSURE = """
    from crowetrade_site.embedded.home import home
    from crowetrade_site.embedded.postgres import Postgres
    server = Postgres(home())
    server.ensure_running()
    print(server.pid())
"""


def connect(server: Postgres, **options) -> psycopg.Connection:
    place = server.connection()
    return psycopg.connect(
        host=place["HOST"],
        port=place["PORT"],
        user=place["USER"],
        dbname=place["NAME"],
        autocommit=True,
        **options,
    )


def fill(disk: Path) -> None:
    ballast = os.open(disk / "ballast", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(ballast, bytes(65_536)):
            pass
    os.close(ballast)


@pytest.fixture
def server(home):
    made = Postgres(home)
    made.ensure_running()
    return made


class TestConnection:
    def test_starts_nothing_and_makes_nothing(self, home):
        place = Postgres(home).connection()

        assert place == {
            "HOST": str(home / "run" / "pg"),
            "PORT": "5432",
            "USER": "crowetrade",
            "NAME": "crowetrade",
        }
        assert list(home.iterdir()) == []


class TestEnsureRunning:
    def test_makes_the_cluster_the_platform_asks_for(self, server):
        with connect(server) as client:
            settings = {
                name: client.execute(f"SHOW {name}").fetchone()[0]
                for name in ("server_encoding", "listen_addresses", "synchronous_commit", "fsync")
            }
            locale = client.execute(
                "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'crowetrade'"
            ).fetchone()

        assert settings == {
            "server_encoding": "UTF8",
            "listen_addresses": "",
            "synchronous_commit": "on",
            "fsync": "on",
        }
        assert locale == ("b", "C.UTF-8")

    def test_keeps_folder_and_socket_private(self, server):
        for path in (server.folder, server.socket.parent, server.socket):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        rules = (server.folder / "pg_hba.conf").read_text().splitlines()
        methods = {(r.split()[0], r.split()[-1]) for r in rules if r and not r.startswith("#")}
        assert methods == {("local", "trust"), ("host", "reject")}

    def test_a_second_process_finds_the_server(self, server, clients):
        assert clients.run(ENSURE) == str(server.pid())

    @pytest.mark.faults
    def test_eight_processes_at_once_make_one_server(self, home, clients):
        started = [clients.start(ENSURE) for _ in range(8)]

        answers = [process.communicate(timeout=90) for process in started]

        assert {err for _, err in answers} == {""}
        assert {out.strip() for out, _ in answers} == {str(Postgres(home).pid())}
        assert (home / "log" / "postgres.log").read_text().count("starting PostgreSQL") == 1

    def test_its_server_survives_the_death_of_whoever_started_it(self, home, clients):
        clients.run(ENSURE + "\n    import os; print(flush=True); os.kill(os.getpid(), 9)")

        assert Postgres(home).is_running()
        with connect(Postgres(home)) as client:
            assert client.execute("SELECT 1").fetchone() == (1,)

    def test_makes_the_database_again_when_it_was_dropped(self, server):
        with psycopg.connect(
            host=str(server.socket.parent), user="crowetrade", dbname="postgres", autocommit=True
        ) as client:
            client.execute("DROP DATABASE crowetrade")

        Postgres(server.home).ensure_running()

        connect(server).close()

    def test_ignores_the_clients_environment(self, home, monkeypatch):
        monkeypatch.setenv("PGPORT", "1")
        monkeypatch.setenv("PGDATA", "/nowhere")
        monkeypatch.setenv("LC_ALL", "xx_YY")

        Postgres(home).ensure_running()

        assert Postgres(home).is_running()

    def test_serves_a_home_with_any_characters_and_a_long_path(self, home):
        odd = home / ('it\'s a "long", odd\\path; 100% é ' + "x" * 80)
        odd.mkdir()
        server = Postgres(odd)
        try:
            server.ensure_running()

            assert server.socket.is_relative_to("/tmp")
            assert Postgres(odd).is_running()
            server.stop()
        finally:
            shutil.rmtree(server.sockets)

    def test_serves_a_short_home_with_any_characters(self, home):
        odd = home / "it's a \"d \\; 100% é"
        odd.mkdir()
        server = Postgres(odd)

        server.ensure_running()

        assert server.socket.is_relative_to(odd)
        server.stop()


class TestStop:
    def test_shuts_down_cleanly_and_keeps_what_was_committed(self, server):
        with connect(server) as client:
            client.execute("CREATE TABLE t AS SELECT 7 AS x")

        server.stop()

        assert server.health() is Health.SILENT
        assert "database system is shut down" in server.log_tail()
        server.ensure_running()
        with connect(server) as client:
            assert client.execute("SELECT x FROM t").fetchone() == (7,)

    def test_ends_open_sessions(self, server):
        client = connect(server)

        server.stop()

        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
        client.close()

    def test_of_what_never_ran_does_nothing(self, home):
        Postgres(home).stop()

        assert list(home.iterdir()) == []


class TestFaults:
    def test_a_killed_server_comes_back_with_what_was_committed(self, server):
        with connect(server) as client:
            client.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS x")
        kill(server.pid())
        assert server.health() is Health.SILENT

        server.ensure_running()

        with connect(server) as client:
            assert client.execute("SELECT count(*) FROM t").fetchone() == (1000,)

    def test_a_killed_backend_costs_only_its_session(self, server):
        client = connect(server)
        before = server.pid()
        kill(client.info.backend_pid)

        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
        client.close()
        server.ensure_running()

        assert server.pid() == before
        connect(server).close()

    @pytest.mark.faults
    def test_a_killed_servers_busy_orphans_do_not_keep_it_down(self, server):
        client = connect(server)
        with ThreadPoolExecutor(1) as pool:
            # A loop without the checks at which a backend notices its server's death.
            busy = pool.submit(
                client.execute, "SELECT count(*) FROM generate_series(1, 1e12::int8)"
            )
            time.sleep(0.3)
            orphan = client.info.backend_pid
            kill(server.pid())
            assert orphan in processes.serving("postgres", server.folder)

            server.ensure_running()

            assert orphan not in processes.serving("postgres", server.folder)
            with pytest.raises(psycopg.OperationalError):
                busy.result(timeout=5)
        client.close()
        assert server.is_running()

    @pytest.mark.parametrize("which", ["postmaster.pid", "socket lock"])
    def test_a_stale_pid_files_new_owner_is_left_alone(self, server, which):
        pid_file = {
            "postmaster.pid": server.folder / "postmaster.pid",
            "socket lock": server.socket.with_name(".s.PGSQL.5432.lock"),
        }[which]
        old = server.pid()
        kill(old)
        unrelated = subprocess.Popen(["/bin/sleep", "60"])
        try:
            pid_file.write_text(pid_file.read_text().replace(str(old), str(unrelated.pid), 1))

            server.ensure_running()

            assert server.is_running()
            assert unrelated.poll() is None
            server.stop()
            assert unrelated.poll() is None
        finally:
            unrelated.kill()
            unrelated.wait()

    def test_a_pid_file_of_rubbish_is_no_obstacle(self, server):
        kill(server.pid())
        (server.folder / "postmaster.pid").write_text("rubbish\n")

        server.ensure_running()

        assert server.is_running()

    @pytest.mark.faults
    def test_a_server_whose_socket_was_removed_is_replaced(self, server):
        before = server.pid()
        server.socket.unlink()

        server.ensure_running()

        assert server.is_running()
        assert not is_alive(before)

    @pytest.mark.faults
    def test_a_crash_during_initdb_leaves_nothing_half_made(self, home, clients):
        process = clients.start(ENSURE)
        wait_until(lambda: list(home.glob("postgres-unfinished-*/PG_VERSION")))
        process.kill()
        process.communicate()
        assert not (home / "postgres").exists()

        Postgres(home).ensure_running()

        assert list(home.glob("postgres-unfinished-*")) == []
        connect(Postgres(home)).close()

    def test_the_log_is_quoted_when_it_does_not_start(self, server):
        server.stop()
        (server.folder / "postgresql.conf").write_text("nonsense = 1\n")

        with pytest.raises(EmbeddedError, match=r'parameter "nonsense".*the whole log is'):
            server.ensure_running()

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
    @pytest.mark.parametrize("megabytes", [8, 44])
    def test_a_full_disk_is_named(self, home, megabytes):
        small = home / "disk"
        small.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(small)]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("this system lets nobody mount a small disk")
        server = Postgres(small)
        try:
            if megabytes > 8:  # room for the cluster, then none for its start
                server.ensure_running()
                server.stop()
                fill(small)

            with pytest.raises(EmbeddedError, match=r"(log ends|No space left).*Free some space"):
                server.ensure_running()

            assert list(small.glob("postgres-unfinished-*")) == []
        finally:
            subprocess.run(["umount", "-l", str(small)], check=True)


class TestForeign:
    @pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
    def test_what_is_not_ours_is_left_alone(self, home, kind):
        place = home / "postgres"
        if kind == "folder":
            place.mkdir()
            (place / "thesis.txt").write_text("mine")
        elif kind == "file":
            place.write_text("mine")
        else:
            place.symlink_to(home / "nothing")

        with pytest.raises(EmbeddedError, match=r"is in the way.*Move it away"):
            Postgres(home).ensure_running()

        assert kind != "folder" or (place / "thesis.txt").read_text() == "mine"
        assert kind != "file" or place.read_text() == "mine"

    def test_an_empty_folder_is_used(self, home):
        (home / "postgres").mkdir()

        Postgres(home).ensure_running()

        assert Postgres(home).is_running()

    def test_another_major_version_is_refused_with_the_way_out(self, home):
        (home / "postgres").mkdir()
        (home / "postgres" / "PG_VERSION").write_text("15\n")

        with pytest.raises(EmbeddedError, match=r"made by PostgreSQL 15; this is 18\..*pg_dump"):
            Postgres(home).ensure_running()
