import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ImproperlyConfigured

from crowetrade_site import env

NAME = "CROWETRADE_TEST_VARIABLE"


class TestText:
    def test_strips_and_falls_back(self, monkeypatch):
        assert env.text(NAME, "fallback") == "fallback"
        monkeypatch.setenv(NAME, "  value ")
        assert env.text(NAME, "fallback") == "value"


class TestBoolean:
    @pytest.mark.parametrize(
        ("value", "meant"),
        {
            **dict.fromkeys(["1", "TRUE", " yes ", "on"], True),
            **dict.fromkeys(["0", "False", "no", "off", ""], False),
        }.items(),
    )
    def test_reads_yes_and_no(self, monkeypatch, value, meant):
        monkeypatch.setenv(NAME, value)

        assert env.boolean(NAME, default=not meant) is meant

    @pytest.mark.parametrize("default", [True, False])
    def test_falls_back(self, default):
        assert env.boolean(NAME, default=default) is default

    @pytest.mark.parametrize("value", ["2", "maybe", "tru"])
    def test_stops_at_anything_else(self, monkeypatch, value):
        monkeypatch.setenv(NAME, value)

        with pytest.raises(ImproperlyConfigured, match=f"{NAME}='{value}' is neither yes nor no"):
            env.boolean(NAME, default=True)


class TestInteger:
    def test_reads_and_falls_back(self, monkeypatch):
        assert env.integer(NAME, default=7) == 7
        monkeypatch.setenv(NAME, " 12 ")
        assert env.integer(NAME, default=7, minimum=12) == 12

    @pytest.mark.parametrize("value", ["", "1.5", "ten"])
    def test_stops_at_what_is_no_number(self, monkeypatch, value):
        monkeypatch.setenv(NAME, value)

        with pytest.raises(ImproperlyConfigured, match="not a whole number"):
            env.integer(NAME, default=7)

    def test_stops_below_the_minimum(self, monkeypatch):
        monkeypatch.setenv(NAME, "0")

        with pytest.raises(ImproperlyConfigured, match="below its minimum of 1"):
            env.integer(NAME, default=7, minimum=1)


class TestListing:
    def test_leaves_out_blanks(self, monkeypatch):
        monkeypatch.setenv(NAME, " a, ,b,,")

        assert env.listing(NAME, "x") == ["a", "b"]

    def test_falls_back(self):
        assert env.listing(NAME) == []
        assert env.listing(NAME, "x,y") == ["x", "y"]


class TestSecret:
    def test_prefers_the_environment_then_the_named_file(self, monkeypatch, tmp_path):
        (tmp_path / "given").write_text("from the file\n")
        monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "given"))
        assert env.secret(NAME, tmp_path / "drawn") == "from the file"

        monkeypatch.setenv(NAME, "from the environment")
        assert env.secret(NAME, tmp_path / "drawn") == "from the environment"
        assert not (tmp_path / "drawn").exists()

    def test_draws_one_and_keeps_it_to_its_owner(self, tmp_path):
        path = tmp_path / "home" / "secret"

        first, second = env.secret(NAME, path), env.secret(NAME, path)

        assert first == second
        assert len(first) >= 50
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(path.parent.iterdir()) == [path]

    def test_draws_another_for_another_installation(self, tmp_path):
        assert env.secret(NAME, tmp_path / "a") != env.secret(NAME, tmp_path / "b")

    def test_is_one_for_two_first_starts(self, tmp_path):
        code = (
            "import sys; from pathlib import Path; from crowetrade_site import env;"
            f"print(env.secret({NAME!r}, Path(sys.argv[1])))"
        )

        def start(_: int) -> str:
            command = [sys.executable, "-c", code, str(tmp_path / "secret")]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        with ThreadPoolExecutor(3) as pool:
            assert len(set(pool.map(start, range(3)))) == 1


class TestDatabase:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            (
                "postgresql://ada:s%40crt@db.example.org:6432/lab?sslmode=require",
                {
                    "USER": "ada",
                    "PASSWORD": "s@crt",
                    "HOST": "db.example.org",
                    "PORT": "6432",
                    "NAME": "lab",
                    "OPTIONS": {"sslmode": "require"},
                },
            ),
            ("postgres:///lab", {"HOST": "", "PORT": "", "NAME": "lab", "OPTIONS": {}}),
            ("postgresql://%2Frun%2Fpg/lab", {"HOST": "/run/pg", "NAME": "lab"}),
            ("postgresql:///lab?host=/run/pg", {"HOST": "/run/pg", "OPTIONS": {}}),
            ("postgresql://localhost", {"HOST": "localhost", "NAME": "crowetrade"}),
            ("postgresql:///my%20lab", {"NAME": "my lab"}),
        ],
    )
    def test_reads_a_url(self, url, expected):
        found = env.database(url)

        assert {name: found[name] for name in expected} == expected
        assert found["ENGINE"] == "crowetrade_site.core.postgres"

    @pytest.mark.parametrize("url", ["mysql://h/x", "sqlite:///x.db", "lab"])
    def test_stops_at_another_database(self, url):
        with pytest.raises(ImproperlyConfigured, match="needs PostgreSQL"):
            env.database(url)


class TestRate:
    @pytest.mark.parametrize("stated", ["60/min", "1/s", "5000/day", "2/hour"])
    def test_reads_a_number_in_a_time(self, stated, monkeypatch):
        monkeypatch.setenv("RATE", stated)

        assert env.rate("RATE", "1/s") == stated

    def test_is_none_where_it_is_empty(self, monkeypatch):
        monkeypatch.setenv("RATE", "")

        assert env.rate("RATE", "1/s") is None

    @pytest.mark.parametrize("stated", ["60", "0/min", "-1/s", "60/fortnight", "x/min", "60 / min"])
    def test_stops_at_what_is_none(self, stated, monkeypatch):
        monkeypatch.setenv("RATE", stated)

        with pytest.raises(ImproperlyConfigured, match="60/min"):
            env.rate("RATE", "1/s")


class TestAddress:
    @pytest.mark.parametrize(
        ("stated", "read"),
        [
            ("", ""),
            ("https://lab.example.com/", "https://lab.example.com"),
            ("http://10.0.0.1:8000/quant/lab", "http://10.0.0.1:8000/quant/lab"),
        ],
    )
    def test_reads_where_a_site_is(self, stated, read, monkeypatch):
        monkeypatch.setenv("ADDRESS", stated)

        assert env.address("ADDRESS") == read

    @pytest.mark.parametrize(
        "stated",
        ["lab.example.com", "ftp://x", "https://", "https://u:p@x", "https://x/?y", "https://x/ y"],
    )
    def test_stops_at_what_is_none(self, stated, monkeypatch):
        monkeypatch.setenv("ADDRESS", stated)

        with pytest.raises(ImproperlyConfigured, match="is no address"):
            env.address("ADDRESS")


class TestSettings:
    def test_refuse_a_grace_shorter_than_a_bucket_renews(self):
        command = [sys.executable, "-c", "import crowetrade_site.settings"]
        more = {"CROWETRADE_RETAIN_GRACE_SECONDS": "599"}

        ended = subprocess.run(
            command, env=os.environ | more, capture_output=True, text=True, check=False
        )

        assert ended.returncode != 0
        assert "CROWETRADE_RETAIN_GRACE_SECONDS" in ended.stderr
        assert "600" in ended.stderr
