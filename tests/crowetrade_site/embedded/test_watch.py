import logging
import threading

import pytest

from crowetrade_site.embedded.broker import Broker
from crowetrade_site.embedded.sessions import Sessions
from crowetrade_site.embedded.watch import Watch, watch
from tests.crowetrade_site.embedded.faults import kill


@pytest.fixture
def sessions(home, monkeypatch):
    monkeypatch.setenv("CROWETRADE_HOME", str(home))
    made = Sessions()
    made.begin(Broker)
    yield made
    made.end()


class TestWatch:
    def test_says_once_that_healing_fails_and_looks_less_often(self, sessions, home, caplog):
        caplog.set_level(logging.WARNING)
        eye = Watch(sessions, interval=1.0)
        kill(Broker(home).pid())
        (home / "broker" / "thesis.txt").write_text("in the way")

        pauses = []
        for _ in range(8):
            eye.look()
            pauses.append(eye.pause)

        assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
        assert [r.getMessage()[:20] for r in caplog.records] == ["An embedded server i"]
        (home / "broker" / "thesis.txt").unlink()
        eye.look()
        assert eye.pause == 1.0
        assert (
            caplog.records[-1].getMessage()
            == "The embedded broker (Valkey) was gone and runs again."
        )

    def test_does_nothing_while_all_is_well(self, sessions, caplog):
        eye = Watch(sessions, interval=1.0)

        eye.look()

        assert eye.pause == 1.0
        assert caplog.records == []


class TestStartingTheWatch:
    def test_there_is_one_thread_a_process(self):
        thread = watch(3600)

        assert watch(3600) is thread
        assert thread.daemon
        assert threading.active_count() >= 2
