"""attach() and the count of users, with real processes."""

import os
import signal

import pytest

from crowetrade_site.embedded.broker import Broker
from crowetrade_site.embedded.daemon import Health
from crowetrade_site.embedded.postgres import Postgres
from tests.crowetrade_site.embedded.faults import wait_until

ATTACH = """
    import os, sys
    from crowetrade_site import embedded
    embedded.attach(postgres=False, broker=True)
    print("attached", flush=True)
"""
AND_WAIT = ATTACH + "    sys.stdin.readline()\n"


def attached(clients, code=AND_WAIT):
    process = clients.start(code)
    assert process.stdout.readline() == "attached\n"
    return process


def finish(process):
    out, err = process.communicate("\n", timeout=60)
    assert not err, err
    return out


class TestAttach:
    def test_the_last_one_out_stops_the_server(self, home, clients):
        first, second = attached(clients), attached(clients)

        finish(first)
        assert Broker(home).is_running()
        finish(second)

        assert Broker(home).health() is Health.SILENT

    def test_postgres_is_shut_down_cleanly(self, home, clients):
        clients.run(
            "from crowetrade_site import embedded; embedded.attach(postgres=True, broker=True)"
        )

        assert Postgres(home).health() is Health.SILENT
        assert "database system is shut down" in Postgres(home).log_tail()
        assert Broker(home).health() is Health.SILENT

    def test_a_killed_client_leaks_nothing_past_the_next_clean_end(self, home, clients):
        killed = attached(clients)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert Broker(home).is_running()

        finish(attached(clients))

        assert Broker(home).health() is Health.SILENT

    def test_a_forked_childs_end_stops_nothing(self, home, clients):
        code = ATTACH + (
            "    child = os.fork()\n"
            "    if not child: sys.exit(0)\n"  # with its inherited exit hooks, unlike os._exit
            "    os.waitpid(child, 0)\n"
            "    print('collected', flush=True)\n"
            "    sys.stdin.readline()\n"
        )
        parent = attached(clients, code)
        assert parent.stdout.readline() == "collected\n"

        assert Broker(home).is_running()
        finish(parent)
        assert Broker(home).health() is Health.SILENT

    def test_a_forked_child_that_attaches_itself_counts_for_itself(self, home, clients):
        code = ATTACH + (
            "    child = os.fork()\n"
            "    if child: sys.exit(0)\n"
            "    embedded.attach(postgres=False, broker=True)\n"
            "    print('alone', os.getpid(), flush=True)\n"
            "    sys.stdin.readline()\n"
        )
        parent = attached(clients, code)
        assert parent.stdout.readline().startswith("alone")
        parent.wait()
        assert Broker(home).is_running()

        parent.stdin.write("\n")
        parent.stdin.flush()

        wait_until(lambda: Broker(home).health() is Health.SILENT)

    def test_a_forked_child_keeps_the_server_while_its_parent_ends(self, home, clients):
        code = ATTACH + (
            "    child = os.fork()\n"
            "    if child: sys.exit(0)\n"
            "    sys.stdin.readline()\n"
            "    os._exit(0)\n"
        )
        parent = attached(clients, code)
        parent.wait()

        assert Broker(home).is_running()
        parent.communicate("\n")
        finish(attached(clients))
        assert Broker(home).health() is Health.SILENT

    @pytest.mark.faults
    def test_nobody_promised_a_server_loses_it_to_somebody_leaving(self, home, clients):
        code = """
            import redis
            from crowetrade_site import embedded
            from crowetrade_site.embedded.broker import Broker
            from crowetrade_site.embedded.home import home
            for _ in range(15):
                embedded.attach(postgres=False, broker=True)
                with redis.Redis(unix_socket_path=str(Broker(home()).socket)) as client:
                    client.incr("promises")
                embedded.detach()
        """
        started = [clients.start(code) for _ in range(4)]

        answers = [process.communicate(timeout=120) for process in started]

        assert {err for _, err in answers} == {""}
        assert Broker(home).health() is Health.SILENT
        code = """
            import redis
            from crowetrade_site import embedded
            from crowetrade_site.embedded.broker import Broker
            from crowetrade_site.embedded.home import home
            embedded.attach(postgres=False, broker=True)
            with redis.Redis(unix_socket_path=str(Broker(home()).socket)) as client:
                print(int(client.get("promises")))
        """
        assert clients.run(code) == "60"

    def test_an_ending_process_starts_nothing_any_more(self, home, clients):
        code = """
            import atexit
            from crowetrade_site import embedded

            def late():
                try:
                    embedded.attach(postgres=False, broker=True)
                except embedded.EmbeddedError as error:
                    print(error)

            from crowetrade_site.embedded.sessions import sessions
            embedded.attach(postgres=False, broker=True)
            sessions().end(is_final=True)
            late()
        """
        assert "This process is ending" in clients.run(code)
        assert Broker(home).health() is Health.SILENT

    def test_threads_that_attach_together_share_one_use(self, home, clients):
        code = """
            from concurrent.futures import ThreadPoolExecutor
            from crowetrade_site import embedded
            with ThreadPoolExecutor(8) as pool:
                for _ in range(50):
                    pool.submit(embedded.attach, postgres=False, broker=True)
            from crowetrade_site.embedded.sessions import sessions
            with sessions().held() as usages:
                print(len(usages))
        """
        assert clients.run(code) == "1"
        assert Broker(home).health() is Health.SILENT

    @pytest.mark.faults
    def test_a_removed_run_folder_is_survived(self, home, clients):
        code = """
            import shutil
            from crowetrade_site import embedded
            from crowetrade_site.embedded.home import home
            embedded.attach(postgres=False, broker=True)
            shutil.rmtree(home() / "run")
            embedded.attach(postgres=False, broker=True)
            from crowetrade_site.embedded.broker import Broker
            print(Broker(home()).is_running())
        """
        assert clients.run(code) == "True"
        assert Broker(home).health() is Health.SILENT


class TestWatch:
    @pytest.mark.faults
    @pytest.mark.parametrize("kind", [Broker, Postgres])
    def test_a_killed_server_is_healed_and_said_once(self, home, clients, kind):
        code = """
            import sys, logging
            from crowetrade_site import embedded
            logging.basicConfig(level="WARNING", stream=sys.stdout)
            embedded.attach(postgres=True, broker=True)
            embedded.watch(0.1)
            print("attached", flush=True)
            sys.stdin.readline()
        """
        process = attached(clients, code)
        before = kind(home).pid()
        os.kill(before, signal.SIGKILL)

        wait_until(lambda: kind(home).is_running() and kind(home).pid() != before)

        out = finish(process)
        assert out.count("was gone and runs again") == 1
        assert kind(home).health() is Health.SILENT
