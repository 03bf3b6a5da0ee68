"""The command line as people and scripts use it."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from backtests.lifecycle import RunStatus
from backtests.management.commands import demo
from backtests.models import Dataset, Run
from crowetrade_site.core.models import AuditEvent
from tests.factories.accounts import account
from tests.factories.backtests import queued, run_row, study, write_bars

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _console(db):
    """The console account needs its role, which a flushed database has lost."""
    from django.contrib.auth.models import Group

    Group.objects.get_or_create(name="admin")


@pytest.fixture
def prices(tmp_path) -> Path:
    return write_bars(tmp_path / "prices.csv")


@pytest.fixture
def spec_file(tmp_path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text("dataset: tiny\nstrategy: buy_and_hold\n")
    return path


def call(*words, **options) -> str:
    out = StringIO()
    call_command(*map(str, words), stdout=out, **options)
    return out.getvalue()


def refused(*words) -> str:
    """Return the one line of a refusal."""
    with pytest.raises(CommandError) as refusal:
        call(*words)
    assert refusal.value.returncode == 2
    line = str(refusal.value)
    assert "\n" not in line
    return line


def refused_in_json(*words) -> dict:
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command(*map(str, words), "--json", stdout=out)
    assert end.value.code == 2
    return json.loads(out.getvalue())


class TestImportBars:
    def test_makes_a_dataset(self, prices):
        said = call("import_bars", prices, "--dataset", "tiny", "--currency", "USD")

        dataset = Dataset.objects.get()
        assert (dataset.version, dataset.n_rows, dataset.currency) == (1, 180, "USD")
        assert said.startswith("tiny v1 imported: bars, 3 instruments, 180 rows, 0 refused")
        assert dataset.imported_by.username == "console"

    def test_answers_in_json(self, prices):
        answer = json.loads(call("import_bars", prices, "--dataset", "tiny", "--json"))

        assert (answer["name"], answer["version"], answer["imported"]) == ("tiny", 1, True)
        assert answer["digest"] == Dataset.objects.get().digest
        assert answer["report"]["n_accepted"] == 180

    def test_finds_the_same_data_again(self, prices):
        call("import_bars", prices, "--dataset", "tiny")

        said = call("import_bars", prices, "--dataset", "tiny")

        assert "stands already (the same data)" in said
        assert Dataset.objects.count() == 1

    def test_acts_as_the_user_named(self, prices):
        user = account("researcher")

        call("import_bars", prices, "--dataset", "tiny", "--actor", user.username)

        assert Dataset.objects.get().imported_by == user

    def test_takes_columns_rows_and_the_rest(self, tmp_path):
        path = tmp_path / "odd.csv"
        path.write_text(
            "when;ticker;last;venue\n2024-01-02;A;10;X\n2024-01-02;A;11;Y\n2024-01-03;A;12;X\n"
        )

        call(
            "import_bars", path, "--dataset", "odd", "--kind", "bars", "--layout", "long",
            "--column", "ts=when", "--column", "close=last", "--symbol-column", "ticker",
            "--where", "venue=X", "--delimiter", ";", "--end", "2024-01-02",
        )  # fmt: skip

        dataset = Dataset.objects.get()
        assert (dataset.n_rows, dataset.options["where"]) == (1, {"venue": "X"})

    def test_sets_bad_rows_apart_if_asked(self, tmp_path):
        path = tmp_path / "bad.csv"
        path.write_text(
            "date,symbol,open,high,low,close\n"
            "2024-01-02,A,10,11,9,10\n2024-01-03,A,10,9,11,10\n2024-01-04,A,10,11,9,10\n"
        )

        call("import_bars", path, "--dataset", "bad", "--quarantine")

        dataset = Dataset.objects.get()
        assert (dataset.n_rows, dataset.n_refused) == (2, 1)
        assert dataset.quarantine_artifact


class TestImportBarsRemarks:
    def test_name_first_day_and_count_of_each_instrument(self, tmp_path):
        path = tmp_path / "odd.csv"
        days = [f"2024-01-{day:02}" for day in range(2, 31) if day not in {6, 7, 13, 14, 20, 21}]
        held = {"AAA": set(days[7:9] + days[12:13]), "BBB": set(days[3:4])}  # missing
        rows = [
            f"{day},{symbol},10,{11 + at % 3},9,{10 + at % 2},5"
            for symbol, missing in held.items()
            for at, day in enumerate(days) if day not in missing
        ]  # fmt: skip
        path.write_text(lines(*rows))

        said = call("import_bars", path, "--dataset", "odd", "--calendar", "XNYS").splitlines()

        gaps = [line.split(":")[1].strip() for line in said if "warning: gaps" in line]
        assert sorted(gaps) == [
            f"gaps AAA (3, first {days[7]})", f"gaps BBB (1, {days[3]})"
        ]  # fmt: skip

    def test_name_the_day_of_what_is_set_apart(self, tmp_path):
        path = tmp_path / "bad.csv"
        path.write_text(
            lines(
                "2024-01-02,A,10,11,9,10,1", "2024-01-03,A,10,9,11,10,1", "2024-01-04,A,10,9,9,10,1"
            )
        )

        said = call("import_bars", path, "--dataset", "bad", "--quarantine")

        assert "  set apart: ohlc_contradiction A (2, first 2024-01-03): 2 bars have" in said

    def test_name_no_day_of_what_concerns_the_file(self, prices):
        assert "  info: no_calendar (1): no calendar" in call(
            "import_bars", prices, "--dataset", "tiny"
        )


def lines(*rows) -> str:
    return "\n".join(("date,symbol,open,high,low,close,volume", *rows)) + "\n"


BAD_FILES = {
    "no such file": (None, [], "There is no file"),
    "empty file": ("", [], "empty"),
    "header alone": (lines(), [], ""),
    "wrong column": ("date,symbol,prise\n2024-01-02,A,1\n", [], ""),
    "column named that is not there": (
        lines("2024-01-02,A,1,1,1,1,1"), ["--column", "close=klose"], "klose"
    ),
    "bar twice": (lines("2024-01-02,A,1,1,1,1,1", "2024-01-02,A,2,2,2,2,2"), [], ""),
    "unknown kind": (lines("2024-01-02,A,1,1,1,1,1"), ["--kind", "candles"], "'candles'"),
    "unknown code": (lines("2024-01-02,A,1,1,1,1,1"), ["--accept", "nothing"], ""),
    "pair without =": (lines("2024-01-02,A,1,1,1,1,1"), ["--where", "venue"], "NAME=VALUE"),
    "unknown time zone": (
        lines("2024-01-02 10:00,A,1,1,1,1,1"), ["--timezone", "Mars/Base"], "Mars/Base"
    ),
    "no slug": (lines("2024-01-02,A,1,1,1,1,1"), ["--dataset", "a b"], "is no dataset name"),
    "long name": (lines("2024-01-02,A,1,1,1,1,1"), ["--dataset", "n" * 81], "no dataset name"),
    "unknown actor": (lines("2024-01-02,A,1,1,1,1,1"), ["--actor", "nemo"], "user 'nemo'"),
    "high below low": (lines("2024-01-02,A,10,9,11,10,1"), [], ""),
    "wide names an instrument twice": (
        "date,AAA,AAA\n2024-01-02,1,2\n", ["--kind", "bars", "--layout", "wide"], "AAA"
    ),
}  # fmt: skip


class TestImportBarsRefuses:
    @pytest.mark.parametrize(
        ("content", "options", "sentence"), BAD_FILES.values(), ids=list(BAD_FILES)
    )
    def test_in_one_line_and_writes_nothing(self, tmp_path, settings, content, options, sentence):
        path = tmp_path / "file.csv"
        if content is not None:
            path.write_text(content)
        words = ["import_bars", path, "--dataset", "tiny", *options]

        line = refused(*words)
        problem = refused_in_json(*words)

        assert sentence in line
        assert problem["detail"] == line
        assert problem["status"] in {404, 422}
        assert not Dataset.objects.exists()
        assert not AuditEvent.objects.filter(verb__startswith="backtests").exists()
        assert [one for one in settings.ARTIFACT_ROOT.rglob("*") if one.is_file()] == []
        room = settings.HOME_DIR / "work"
        assert not room.exists() or list(room.iterdir()) == []

    def test_tells_every_error_of_a_file(self, tmp_path, capsys):
        path = tmp_path / "file.csv"
        path.write_text(
            lines("2024-01-02,A,10,9,11,10,1", "2024-01-03,B,1,1,1,1,1", "2024-01-03,B,2,2,2,2,2")
        )

        assert "And 1 more error." in refused("import_bars", path, "--dataset", "tiny")

        told = capsys.readouterr().err.splitlines()
        assert len(told) == 2
        assert any(line.strip().startswith("error: duplicate") and " B " in line for line in told)
        assert refused_in_json("import_bars", path, "--dataset", "tiny")["report"]["findings"]
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(
        ("content", "options", "advice"),
        [
            ("ts,close\n2024-01-02T10:00:00Z,1\n", [], "state --stamp start if"),
            ("ts,close\n2024-01-02T10:00:00,1\n", [], "for example --timezone UTC"),
            ("date,symbol,prise\n2024-01-02,A,1\n", ["--layout", "long", "--kind", "bars"],
             "with --column close=NAME"),
            ("date,close\n2024-01-02,1\n", ["--adjust-by", "x"], "--adjust-by 'x' is not one of"),
        ],
    )  # fmt: skip
    def test_advises_flags(self, tmp_path, content, options, advice):
        path = tmp_path / "file.csv"
        path.write_text(content)
        words = ["import_bars", path, "--dataset", "tiny", "--symbol", "A", *options]

        assert advice in refused(*words)

    def test_a_folder(self, tmp_path):
        assert "There is no file" in refused("import_bars", tmp_path, "--dataset", "tiny")

    def test_an_actor_without_the_right(self, prices):
        name = account("auditor").username

        assert "datasets:write" in refused(
            "import_bars", prices, "--dataset", "tiny", "--actor", name
        )
        assert not Dataset.objects.exists()


class TestRun:
    def test_names_the_page_of_what_it_queued(self, tiny, spec_file, settings):
        settings.PUBLIC_URL = "https://lab.example.com"

        said = call("run", spec_file)

        page = f"https://lab.example.com/admin/backtests/run/{Run.objects.get().pk}/change/"
        assert said.splitlines()[1] == f"  {page}"

    def test_queues(self, tiny, spec_file):
        said = call("run", spec_file, "--reason", "a hunch")

        run = Run.objects.get()
        assert said.splitlines()[0] == f"{run.public_id} is queued on tiny v1."
        assert run.reason.startswith("a hunch (by ")
        assert run.requested_by.username == "console"

    @pytest.mark.parametrize(("words", "kept"), [((), ""), (("--reason", "a hunch"), "a hunch")])
    def test_keeps_the_own_words_of_who_acts(self, tiny, spec_file, owner, words, kept):
        call("run", spec_file, "--actor", owner.username, *words)

        run = Run.objects.get()
        assert (run.requested_by, run.reason) == (owner, kept)

    def test_answers_in_json(self, tiny, spec_file):
        answer = json.loads(call("run", spec_file, "--json"))

        assert answer == {"id": str(Run.objects.get().public_id), "status": "queued"}

    def test_prints_the_best_of_a_study_with_how_many_there_were(
        self, transactional_db, owner, tmp_path, monkeypatch
    ):
        run = study(owner, tmp_path)
        monkeypatch.setattr("backtests.services.queue_run", lambda **_: run)
        path = tmp_path / "sweep.yaml"
        path.write_text("kind: sweep\n")

        said = call("run", path, "--wait")

        best = run.summary["study"]["leaders"][0]["parameters"]
        assert "Best of 12 trials (3 infeasible); 12 trials were ever made on this data" in said
        assert "0.40 (best of 12 trials)" in said
        for name, value in best.items():
            assert f"  {name} = {value}" in said

        answer = json.loads(call("run", path, "--wait", "--json"))["study"]

        assert answer["claim"] == "best of 12 trials"
        assert answer["best"]["parameters"] == best
        assert (answer["n_trials"], answer["n_infeasible"], answer["n_given_up"]) == (12, 3, 0)
        assert answer["ledger"] == {"n_on_this_data": 12, "n_of_this_family": 12}

    def test_draws_the_progress_of_a_study(self, transactional_db, owner, tmp_path, monkeypatch):
        from backtests.management.commands.run import Command

        class Terminal(StringIO):
            def isatty(self):
                return True

        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        command = Command()
        command.as_json = False

        command.draw(study(owner, tmp_path), last=True)

        assert "100%" in screen.getvalue()
        assert "12 of 12 trials" in screen.getvalue()
        assert "trials a second" in screen.getvalue()

    def test_waits_behind_the_run_that_a_worker_is_at(self, tiny, spec_file, monkeypatch):
        from backtests.management.commands import run as command

        monkeypatch.setattr(command, "PATIENCE", 0.0)
        until = timezone.now() + timedelta(seconds=60)
        run_row(tiny, tiny.imported_by, RunStatus.RUNNING, lease_expires_at=until)
        out = StringIO()

        with pytest.raises(SystemExit):
            call_command("run", str(spec_file), "--wait", "--timeout", "0.9", stdout=out)

        assert out.getvalue().count("Waiting behind 1 run.\n") == 1
        assert "No worker" not in out.getvalue()

    def test_says_that_no_worker_is_there_if_none_answers(
        self, tiny, spec_file, monkeypatch, settings
    ):
        from backtests.management.commands import run as command

        monkeypatch.setattr(command, "PATIENCE", 0.0)
        settings.EMBEDDED_BROKER = False
        out = StringIO()

        with pytest.raises(SystemExit):
            call_command("run", str(spec_file), "--wait", "--timeout", "0.5", stdout=out)

        assert out.getvalue().count("No worker has taken it yet; still watching.\n") == 1

    def test_stops_watching_when_told(self, tiny, spec_file):
        with pytest.raises(SystemExit) as end:
            call("run", spec_file, "--wait", "--timeout", "0.5")

        assert end.value.code == 1
        assert Run.objects.get().status == RunStatus.QUEUED

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            (None, "There is no file"),
            ("dataset: [", "is not YAML"),
            ("dataset: tyny\nstrategy: buy_and_hold", "did you mean 'tiny'?"),
            ("dataset: tiny\nstrategy: buy_and_hold\ncapitol: 1", "did you mean 'capital'?"),
        ],
    )
    def test_refuses_in_one_line(self, tiny, tmp_path, text, sentence):
        path = tmp_path / "bad.yaml"
        if text is not None:
            path.write_text(text)

        assert sentence in refused("run", path)
        assert sentence in refused_in_json("run", path)["detail"]
        assert not Run.objects.exists()


class TestReproduce:
    def test_takes_the_wait_of_run_which_it_does_anyway(self, tiny, owner):
        run = run_row(tiny, owner, RunStatus.FAILED)

        said = refused("reproduce", run.public_id, "--wait")

        assert "only one with a result can be reproduced" in said


class TestCancel:
    def test_ends_a_run_that_waits(self, tiny, owner):
        run = queued(owner)

        said = call("cancel", str(run.public_id)[:8], "--reason", "a typo")

        run.refresh_from_db()
        assert said == f"{run.public_id} is cancelled.\n"
        assert run.status == RunStatus.CANCELLED
        event = AuditEvent.objects.get(verb="backtests.run.cancelled")
        assert (event.actor, event.object_id) == ("console", str(run.public_id))
        assert event.reason.startswith("a typo (by ")

    def test_asks_a_running_one_once(self, tiny, owner):
        run = run_row(tiny, owner, RunStatus.RUNNING)

        for _ in range(2):
            said = call("cancel", run.public_id)
            assert "is asked to stop; it does at its next slice of work" in said

        run.refresh_from_db()
        assert (run.status, run.cancel_requested_at is None) == (RunStatus.RUNNING, False)
        assert AuditEvent.objects.filter(verb="backtests.run.cancel_requested").count() == 1

    def test_answers_in_json(self, tiny, owner):
        run = queued(owner)

        answer = json.loads(call("cancel", run.public_id, "--json"))

        assert (answer["id"], answer["status"]) == (str(run.public_id), "cancelled")
        assert answer["cancel_requested_at"]

    @pytest.mark.parametrize(
        ("status", "sentence"),
        [
            ("succeeded", "cannot go from succeeded to cancelled"),
            ("failed", "cannot go from failed to cancelled"),
            ("cancelled", "The run is cancelled already."),
        ],
    )
    def test_refuses_one_that_is_over(self, tiny, owner, status, sentence):
        run = run_row(tiny, owner, status)

        assert sentence in refused("cancel", run.public_id)
        assert refused_in_json("cancel", run.public_id)["status"] == 409
        assert not AuditEvent.objects.filter(verb__startswith="backtests.run").exists()

    @pytest.mark.parametrize(
        ("named", "sentence"),
        [(uuid4(), "There is no run"), ("momentum", "is no run's id, nor the beginning of one")],
    )
    def test_refuses_an_unknown_one(self, db, named, sentence):
        assert sentence in refused("cancel", named)

    def test_is_for_ones_own_runs(self, tiny, owner):
        run, other = queued(owner), account("researcher").username

        line = refused("cancel", run.public_id, "--actor", other)

        assert "may only cancel their own runs" in line
        run.refresh_from_db()
        assert run.status == RunStatus.QUEUED


class TestReport:
    def test_writes_one_file(self, finished, tmp_path):
        out = tmp_path / "report.html"

        said = call("report", finished.public_id, "--out", out)

        assert finished.result_digest in out.read_text()
        assert said.startswith(str(out))
        assert not list(tmp_path.glob(".report*"))

    def test_answers_in_json(self, finished, tmp_path):
        out = tmp_path / "report.html"

        answer = json.loads(call("report", finished.public_id, "--out", out, "--json"))

        assert answer == {"report": str(out), "bytes": out.stat().st_size}

    @pytest.mark.parametrize("place", ["none/report.html", "file/report.html", "."])
    def test_refuses_a_place_it_cannot_write(self, finished, tmp_path, place):
        (tmp_path / "file").write_text("in the way")
        before = {path.name for path in tmp_path.iterdir()}

        line = refused("report", finished.public_id, "--out", tmp_path / place)

        assert "cannot be written" in line
        assert refused_in_json("report", finished.public_id, "--out", tmp_path / place)["detail"]
        assert {path.name for path in tmp_path.iterdir()} == before

    def test_refuses_a_run_without_a_result(self, tiny, owner, tmp_path):
        run = run_row(tiny, owner, RunStatus.FAILED)

        line = refused("report", run.public_id, "--out", tmp_path / "r.html")

        assert "only a run that succeeded has a report" in line

    def test_refuses_an_unknown_run(self, db, tmp_path):
        assert "There is no run" in refused("report", uuid4(), "--out", tmp_path / "r.html")


@pytest.mark.slow
class TestProcess:
    def test_ends_with_2_and_one_line(self, tmp_path):
        given = os.environ.get("DATABASE_URL")
        if not given:
            pytest.skip("needs DATABASE_URL: the embedded server is another test's business")

        ended = subprocess.run(
            [sys.executable, "manage.py", "import_bars", "nowhere.csv", "--dataset", "x"],
            cwd=ROOT, capture_output=True, text=True, check=False,
            env=os.environ | {"CROWETRADE_HOME": str(tmp_path / "home")},
        )  # fmt: skip

        assert ended.returncode == 2
        assert ended.stdout == ""
        assert len(ended.stderr.splitlines()) == 1


class TestDemo:
    def test_ends_with_what_comes_next(self, tmp_path, capsys):
        command = demo.Command()
        command.as_json = False

        command.finish(tmp_path / "report.html", {}, 1.0)

        assert capsys.readouterr().out.endswith("Done in 1.0 s; next: make serve\n")

    def test_compares_over_the_same_days(self):
        _, averages, holding = demo.RUN_SPECS.values()

        differing = {key for key in averages | holding if averages.get(key) != holding.get(key)}
        assert differing == {"strategy"}
        assert averages["start"]

    def test_says_a_caveat_of_several_runs_once(self, capsys):
        shared, own = {"text": "Prices are adjusted."}, {"text": "No opens."}
        figures = {key: {"value": 0.5, "unit": "fraction", "reason": ""} for key in demo.FIGURES}
        run = {
            "result_digest": "0" * 64,
            "summary": {
                "n_bars": 3058, "n_fills": 1, "seconds": {"computing": 0.1}, "metrics": figures,
                "first_at": "2001-01-02T21:00:00Z", "last_at": "2013-03-01T21:00:00Z",
                "caveats": [shared],
            },
        }  # fmt: skip
        other = run | {"summary": run["summary"] | {"n_fills": 1200, "caveats": [own, shared]}}
        command = demo.Command()
        command.as_json = False

        command.show({"one": run, "two": other})

        said = capsys.readouterr().out
        assert said.count("Prices are adjusted.") == said.count("No opens.") == 1
        assert "2001-01-02 to 2013-03-01: 3,058 bars, 1 fill, computed" in said
        assert "1,200 fills" in said
        assert "  Caveats as above: 1\n" in said
