import shutil
import socket
import stat

import pytest
import redis
from kombu import Connection

from crowetrade_site.embedded import processes
from crowetrade_site.embedded.broker import Broker
from crowetrade_site.embedded.daemon import Health
from crowetrade_site.embedded.errors import EmbeddedError
from tests.crowetrade_site.embedded.faults import is_alive, kill

ENSURE = """
    from crowetrade_site.embedded.home import home
    from crowetrade_site.embedded.broker import Broker
    server = Broker(home())
    server.ensure_running()
    print(server.pid())
"""


@pytest.fixture
def server(home):
    made = Broker(home)
    made.ensure_running()
    return made


def client(server: Broker) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(server.socket))


class TestUrl:
    def test_starts_nothing_and_makes_nothing(self, home):
        assert Broker(home).url() == f"redis+socket://{home}/run/valkey.sock"
        assert list(home.iterdir()) == []

    @pytest.mark.parametrize("name", ["plain", 'it\'s a "b"; +c#d?e&f%20 é:@'])
    def test_kombu_reaches_the_server_by_it(self, home, name):
        (home / name).mkdir()
        server = Broker(home / name)
        server.ensure_running()

        with Connection(server.url()) as connection:
            queue = connection.SimpleQueue("q")
            queue.put({"a": 1})
            message = queue.get(timeout=5)
            message.ack()
            queue.close()

        assert message.payload == {"a": 1}
        server.stop()


class TestEnsureRunning:
    def test_keeps_what_the_platform_asks_for(self, server):
        with client(server) as asked:
            settings = asked.config_get("port", "appendonly", "appendfsync", "maxmemory-policy")

        assert settings == {
            "port": "0",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
        assert server.version()

    def test_a_second_process_finds_the_server(self, server, clients):
        assert clients.run(ENSURE) == str(server.pid())

    def test_eight_processes_at_once_make_one_server(self, home, clients):
        started = [clients.start(ENSURE) for _ in range(8)]

        answers = [process.communicate(timeout=90) for process in started]

        assert {err for _, err in answers} == {""}
        assert {out.strip() for out, _ in answers} == {str(Broker(home).pid())}
        assert len(processes.serving("valkey-server", home / "broker")) == 1

    def test_serves_a_home_with_a_long_path(self, home):
        long = home / ("x" * 120)
        long.mkdir()
        server = Broker(long)
        try:
            server.ensure_running()

            assert server.is_running()
            server.stop()
        finally:
            shutil.rmtree(server.sockets)

    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_what_is_not_ours_is_left_alone(self, home, kind):
        place = home / "broker"
        if kind == "file":
            place.write_text("mine")
        else:
            place.mkdir()
            (place / "thesis.txt").write_text("mine")

        with pytest.raises(EmbeddedError, match="is in the way"):
            Broker(home).ensure_running()

        assert place.read_text() == "mine" if kind == "file" else (place / "thesis.txt").exists()


class TestStop:
    def test_queued_messages_survive_a_restart(self, server):
        with client(server) as asked:
            asked.rpush("queue", "message")

        server.stop()
        assert server.health() is Health.SILENT
        server.ensure_running()

        with client(server) as asked:
            assert asked.lrange("queue", 0, -1) == [b"message"]

    def test_of_what_never_ran_does_nothing(self, home):
        Broker(home).stop()

        assert list(home.iterdir()) == []


class TestFaults:
    def test_queued_messages_survive_a_kill(self, server):
        with client(server) as asked:
            asked.rpush("queue", *range(1000))
        kill(server.pid())
        assert server.health() is Health.SILENT

        server.ensure_running()

        with client(server) as asked:
            assert asked.llen("queue") == 1000

    def test_a_file_cut_short_by_the_kill_is_loaded(self, server):
        with client(server) as asked:
            asked.rpush("queue", "a")
        kill(server.pid())
        [written] = (server.folder / "appendonlydir").glob("*.incr.aof")
        with written.open("ab") as log:
            log.write(b"*3\r\n$5\r\nRPU")

        server.ensure_running()

        with client(server) as asked:
            assert asked.lrange("queue", 0, -1) == [b"a"]

    @pytest.mark.faults
    def test_a_server_whose_socket_was_removed_is_replaced(self, server):
        before = server.pid()
        with client(server) as asked:
            asked.rpush("queue", "a")
        server.socket.unlink()

        server.ensure_running()

        assert not is_alive(before)
        with client(server) as asked:
            assert asked.lrange("queue", 0, -1) == [b"a"]

    def test_the_log_is_quoted_when_it_does_not_start(self, server):
        server.stop()
        [written] = (server.folder / "appendonlydir").glob("*.manifest")
        written.write_text("rubbish\n")

        with pytest.raises(EmbeddedError, match=r"does not start; its log ends.*whole log"):
            server.ensure_running()

    def test_a_server_that_says_nothing_is_busy_not_gone(self, home, monkeypatch):
        monkeypatch.setattr("crowetrade_site.embedded.broker.ASK_SECONDS", 0.05)
        (home / "run").mkdir()
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(str(Broker(home).socket))
            mute.listen()

            assert Broker(home).health() is Health.BUSY
