import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from crowetrade_site.embedded.errors import EmbeddedError
from crowetrade_site.embedded.supervisor import Child, Supervisor
from tests.crowetrade_site.embedded.conftest import PROJECT
from tests.crowetrade_site.embedded.faults import is_alive, wait_until

# Both write their process numbers; the stubborn one ignores every polite signal.
FAMILY = """
import os, signal, sys, time
if "stubborn" in sys.argv:
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
child = os.fork()
with open(sys.argv[1], "a") as out:
    print(os.getpid(), file=out, flush=True)
while True:
    time.sleep(0.05)
"""
SUPERVISE = """
import sys
from pathlib import Path
from crowetrade_site.embedded.supervisor import Child, Supervisor
folder = Path(sys.argv[1])
def count():
    return len((folder / "pids").read_text().split()) if (folder / "pids").exists() else 0
children = [
    Child(kind, [sys.executable, "-c", FAMILY, str(folder / "pids"), kind],
          ready=lambda n=n: count() >= n)
    for n, kind in ((2, "polite"), (4, "stubborn"))
]
with Supervisor(children, folder, grace_seconds=1.0) as supervisor:
    print("up", flush=True)
    print("code", supervisor.wait())
"""


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *arguments]


@pytest.fixture
def supervised(tmp_path):
    """Start a supervisor of two families in a process of its own."""
    process = subprocess.Popen(
        python(f"FAMILY = {FAMILY!r}\n{SUPERVISE}", str(tmp_path)),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert process.stdout.readline() == "up\n"
    family = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(family) == 4
    yield process, family
    process.kill()
    process.communicate()
    for pid in family:
        assert not is_alive(pid)


class TestSupervisor:
    @pytest.mark.faults
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_ends_all_and_leaves_no_process_behind(self, supervised, number):
        process, family = supervised

        process.send_signal(number)
        out, _ = process.communicate(timeout=20)

        assert out == "code 0\n"
        assert not any(is_alive(pid) for pid in family)

    def test_a_second_signal_kills_at_once(self, tmp_path):
        child = Child("c", python(FAMILY, str(tmp_path / "pids"), "stubborn"))
        with Supervisor([child], tmp_path, grace_seconds=60) as supervisor:
            wait_until((tmp_path / "pids").exists)
            for delay in (0.1, 0.4):
                threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
            started = time.monotonic()
            supervisor.wait()

        assert time.monotonic() - started < 10

    @pytest.mark.faults
    def test_its_own_death_leaves_no_process_behind(self, supervised):
        process, family = supervised

        process.kill()

        wait_until(lambda: not any(is_alive(pid) for pid in family))

    def test_starts_in_order_and_asks_all_to_end(self, tmp_path):
        code = """
            import signal, sys, time
            def end(*_):
                print("end", sys.argv[1], file=open(sys.argv[2], "a"), flush=True)
                sys.exit(0)
            signal.signal(signal.SIGTERM, end)
            print("start", sys.argv[1], file=open(sys.argv[2], "a"), flush=True)
            while True: time.sleep(0.05)
        """
        book = tmp_path / "book"
        children = [
            Child(
                name,
                python(code, name, str(book)),
                ready=lambda n=name: book.exists() and f"start {n}" in book.read_text(),
            )
            for name in "abc"
        ]

        with Supervisor(children, tmp_path) as supervisor:
            assert list(supervisor.pids()) == ["a", "b", "c"]

        lines = book.read_text().split("\n")[:-1]
        assert lines[:3] == ["start a", "start b", "start c"]
        assert sorted(lines[3:]) == ["end a", "end b", "end c"]

    @pytest.mark.faults
    def test_a_child_that_fails_at_its_start_is_quoted_and_the_others_end(self, tmp_path):
        children = [
            Child("good", python(FAMILY, str(tmp_path / "pids")), ready=(tmp_path / "pids").exists),
            Child("bad", python("import sys; sys.exit('no such thing')"), ready=lambda: False),
        ]

        with pytest.raises(EmbeddedError, match=r"bad ended with code 1.*no such thing"):
            Supervisor(children, tmp_path).__enter__()

        for pid in (tmp_path / "pids").read_text().split():
            assert not is_alive(int(pid))

    def test_a_child_that_does_not_get_ready_is_named(self, tmp_path):
        child = Child("slow", ["/bin/sleep", "60"], ready=lambda: False)

        with pytest.raises(EmbeddedError, match=r"slow is not ready after 0 s"):
            Supervisor([child], tmp_path, ready_seconds=0.2).__enter__()

    def test_a_program_that_is_missing_is_named(self, tmp_path):
        child = Child("none", ["/no/such/program"], ready=lambda: False)

        with pytest.raises(EmbeddedError, match="/no/such/program cannot be run"):
            Supervisor([child], tmp_path).__enter__()

    def test_ends_with_the_code_of_a_child_that_ends(self, tmp_path):
        children = [
            Child("stays", ["/bin/sleep", "60"]),
            Child("goes", python("import time; time.sleep(0.2); raise SystemExit(7)")),
        ]

        with Supervisor(children, tmp_path) as supervisor:
            assert supervisor.wait() == 7
            stays = supervisor.pids()["stays"]

        assert not is_alive(stays)

    def test_restarts_a_child_that_asked_for_it_and_says_so(self, tmp_path, caplog):
        marks = tmp_path / "marks"
        code = (
            "import os, sys, time; open(sys.argv[1], 'a').write('x'); "
            "os.path.getsize(sys.argv[1]) > 1 and time.sleep(60); sys.exit(3)"
        )
        child = Child("flaky", python(code, str(marks)), restarts=True)

        with Supervisor([child], tmp_path) as supervisor:
            threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
            assert supervisor.wait() == 0

        assert marks.read_text() == "xx"
        assert "flaky ended with code 3 and is restarted in 1 s." in caplog.messages

    def test_gives_a_child_its_environment_and_folder(self, tmp_path):
        code = "import os; print(os.environ['COLOR'], os.getcwd())"
        child = Child("c", python(code), env={"COLOR": "blue"}, cwd=tmp_path)

        with Supervisor([child], tmp_path / "log") as supervisor:
            assert supervisor.wait() == 0

        assert (tmp_path / "log" / "c.log").read_text() == f"blue {tmp_path}\n"

    def test_shows_the_output_when_asked(self, tmp_path, capsys):
        (tmp_path / "c.log").write_text("of an earlier run\n")
        child = Child("c", python("print('hello'); print('part', end='', flush=True)"))

        with Supervisor([child], tmp_path, echo=True) as supervisor:
            supervisor.wait()

        assert "      c | hello\n" in capsys.readouterr().out

    def test_gives_the_signals_back(self, tmp_path):
        before = signal.getsignal(signal.SIGINT)

        with Supervisor([Child("c", ["/bin/true"])], tmp_path):
            assert signal.getsignal(signal.SIGINT) != before

        assert signal.getsignal(signal.SIGINT) == before
