import os
import signal
import socket
import subprocess
import sys

import pytest

from crowetrade_site.embedded import processes


@pytest.fixture
def sleeper(tmp_path):
    process = subprocess.Popen(["/bin/sleep", "60"], cwd=tmp_path)
    yield process
    process.kill()
    process.wait()


class TestListener:
    def test_is_the_process_that_listens(self, home):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(home / "s"))
            assert processes.listener(home / "s") is None
            server.listen()

            assert processes.listener(home / "s") == os.getpid()

    def test_is_nobody_behind_a_socket_left_on_disk(self, home):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(home / "s"))
            server.listen()

        assert processes.listener(home / "s") is None
        assert processes.listener(home / "none") is None


class TestServing:
    def test_finds_a_program_by_its_folder(self, sleeper, tmp_path):
        program = os.path.basename(os.path.realpath("/bin/sleep"))  # noqa: PTH119

        assert processes.serving(program, tmp_path) == [sleeper.pid]
        assert processes.serving(program, tmp_path.parent) == []
        assert processes.serving("postgres", tmp_path) == []


class TestHandle:
    def test_waits_for_the_end_of_any_process(self, sleeper):
        with processes.Handle(sleeper.pid) as held:
            assert not held.ended(0.01)
            held.send(signal.SIGKILL)

            assert held.ended(5)
            held.send(signal.SIGKILL)

    def test_there_is_none_on_a_process_that_has_ended(self):
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()

        assert processes.hold(process.pid) is None
