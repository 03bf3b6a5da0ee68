from crowetrade_site import embedded
from crowetrade_site.embedded.broker import Broker


class TestStatus:
    def test_tells_a_running_a_stopped_and_an_unused_server_apart(self, home, monkeypatch):
        monkeypatch.setenv("CROWETRADE_HOME", str(home))
        monkeypatch.delenv("DATABASE_URL", raising=False)
        monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
        Broker(home).ensure_running()

        stopped, running = embedded.status()
        monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere")
        unused = embedded.status()[1]

        assert (stopped.service, stopped.state, stopped.pid) == ("postgres", "stopped", None)
        assert (running.service, running.state) == ("broker", "running")
        assert running.pid == Broker(home).pid()
        assert running.version.startswith("9.")
        assert running.where == str(Broker(home).socket)
        assert (unused.state, unused.where) == ("not used", "CELERY_BROKER_URL")

    def test_tells_what_is_wrong_instead_of_failing(self, tmp_path, monkeypatch):
        (tmp_path / "home").write_text("")
        monkeypatch.delenv("DATABASE_URL", raising=False)
        monkeypatch.setenv("CROWETRADE_HOME", str(tmp_path / "home"))

        assert "a file is in the way" in embedded.status()[0].detail
