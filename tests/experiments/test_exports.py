"""Outcomes and exposures as files: over REST, from the command line, from a page."""

import csv
import io
import json
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.csv
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crowetrade_site.core.models import AuditEvent
from experiments.intake import of_rows, outgoing
from experiments.models import Outcome
from experiments.selectors import exports
from experiments.services.assigning import Unit, assign_units
from experiments.services.outcomes import record_outcomes
from tests.factories.accounts import account
from tests.factories.clients import client, problem
from tests.factories.feeding import START, of_arms, running

pytestmark = pytest.mark.django_db(transaction=True)
NOW = START + timedelta(days=30)
TWO = [{"name": "return", "role": "primary"}, {"name": "cost", "role": "secondary"}]


@pytest.fixture
def owner():
    return account("researcher")


@pytest.fixture
def api(owner):
    return client(owner, "experiments:read")


def take(experiment, owner, rows, at=NOW):
    receipt = record_outcomes(
        experiment_id=experiment.public_id, sent=of_rows(rows), actor=owner, at=at
    )
    assert receipt.accepted == len(rows), receipt
    return rows


def url(experiment, name) -> str:
    return f"/api/v1/experiments/{experiment.public_id}/exports/{name}"


def content(answer) -> bytes:
    assert answer.status_code == 200, b"".join(answer)
    return b"".join(answer.streaming_content)


def csv_rows(body: bytes) -> list[dict]:
    return pa.csv.read_csv(
        io.BytesIO(body),
        convert_options=pa.csv.ConvertOptions(strings_can_be_null=True),
    ).to_pylist()


def arrow_rows(body: bytes) -> list[dict]:
    with pa.ipc.open_stream(body) as reader:
        return reader.read_all().to_pylist()


def entries(what: str):
    return AuditEvent.objects.filter(verb=f"experiments.{what}.exported")


class TestOutcomes:
    @pytest.mark.parametrize(("kind", "read"), [("csv", csv_rows), ("arrow", arrow_rows)])
    @pytest.mark.parametrize("chunk", [4, 10, 1_000])
    def test_are_all_there_once_whatever_is_read_at_a_time(
        self, api, owner, monkeypatch, kind, read, chunk
    ):
        monkeypatch.setattr(exports, "CHUNK", chunk)
        experiment = running(owner)
        sent = take(experiment, owner, of_arms(20))

        found = read(content(api.get(url(experiment, f"outcomes.{kind}"))))

        found = sorted(found, key=lambda row: row["at"])
        assert [row["arm"] for row in found] == [row["arm"] for row in sent]
        assert [row["value"] for row in found] == [row["value"] for row in sent]
        assert [row["at"] for row in found] == [datetime.fromisoformat(r["at"]) for r in sent]
        assert {row["metric"] for row in found} == {"return"}
        assert {row["received_at"] for row in found} == {NOW}
        assert len({row["key"] for row in found}) == 20
        assert {row["x"] for row in found} == {None}

    def test_give_back_the_very_numbers_and_microseconds(self, api, owner):
        experiment = running(owner)
        at = START + timedelta(microseconds=1)
        row = {"metric": "return", "value": 0.1 + 0.2, "at": at.isoformat(), "arm": "champion"}
        take(experiment, owner, [row | {"value": -1e-17, "key": "tiny"}, row])

        text = content(api.get(url(experiment, "outcomes.csv"))).decode()

        assert "2026-01-05T00:00:00.000001Z" in text
        assert {float(line.split(",")[6]) for line in text.splitlines()[1:]} == {0.1 + 0.2, -1e-17}

    def test_are_those_of_a_metric_and_a_time(self, api, owner):
        experiment = running(owner, metrics=TWO)
        rows = of_arms(10)
        take(experiment, owner, [row | {"metric": m} for row in rows for m in ("return", "cost")])
        begin, end = START + timedelta(minutes=3), START + timedelta(minutes=6)

        asked = {"metric": "cost", "since": begin.isoformat(), "until": end.isoformat()}
        found = arrow_rows(content(api.get(url(experiment, "outcomes.arrow"), asked)))

        assert {row["metric"] for row in found} == {"cost"}
        assert sorted(row["value"] for row in found) == [0.75, 1.0, 1.25]

    def test_are_those_that_had_come(self, owner):
        experiment = running(owner)
        take(experiment, owner, of_arms(4), at=NOW)
        take(experiment, owner, of_arms(4, first=4), at=NOW + timedelta(seconds=1))

        batches = list(exports.outcome_batches(experiment, exports.Asked(), at=NOW))

        assert sum(batch.num_rows for batch in batches) == 4

    def test_of_other_experiments_are_not_among_them(self, api, owner):
        one, other = running(owner), running(owner, name="other")
        take(one, owner, of_arms(3))
        take(other, owner, of_arms(5))

        assert len(csv_rows(content(api.get(url(one, "outcomes.csv"))))) == 3

    def test_that_there_are_none_of_are_a_head(self, api, owner):
        experiment = running(owner)

        body = content(api.get(url(experiment, "outcomes.csv")))

        assert body.decode().splitlines() == [
            '"at","received_at","metric","arm","unit","allocation","value","x","key"'
        ]
        assert arrow_rows(content(api.get(url(experiment, "outcomes.arrow")))) == []

    def test_say_who_took_what(self, api, owner):
        experiment = running(owner)
        take(experiment, owner, of_arms(2))

        answer = api.get(url(experiment, "outcomes.csv"), {"metric": "return"})

        assert answer["Content-Type"] == "text/csv"
        assert answer["Content-Disposition"] == 'attachment; filename="momentum-outcomes.csv"'
        entry = entries("outcomes").get()
        assert entry.actor == owner.username
        assert json.loads(entry.canonical)["after"] == {
            "format": "csv", "metrics": ["return"], "since": None, "until": None,
        }  # fmt: skip

    def test_are_read_by_key_in_one_query_a_chunk(self, owner, monkeypatch):
        monkeypatch.setattr(exports, "CHUNK", 5)
        experiment = running(owner)
        take(experiment, owner, of_arms(20))

        with CaptureQueriesContext(connection) as queries:
            list(exports.outcome_batches(experiment, exports.Asked(), at=NOW))

        read = [one["sql"] for one in queries if "FROM experiments_outcome" in one["sql"]]
        assert len(read) == 5 + 1, "four full ones and an empty one, and another month"
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off; SET enable_sort = off")
            cursor.execute(f"EXPLAIN {read[1]}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            cursor.execute("RESET enable_seqscan; RESET enable_sort")
        assert "Index Cond: ((experiment_id = " in plan
        assert "Sort  (cost" not in plan, "it would be paid for again with each chunk"


class TestExposures:
    @pytest.mark.parametrize("chunk", [3, 1_000])
    def test_are_the_units_and_their_arms(self, api, owner, monkeypatch, chunk):
        monkeypatch.setattr(exports, "CHUNK", chunk)
        experiment = running(owner, design="assigned")
        units = [Unit(f'u,"{n}', {"desk": "fx"}) for n in range(7)]
        answers = assign_units(experiment_id=experiment.public_id, units=units, actor=owner, at=NOW)

        found = csv_rows(content(api.get(url(experiment, "exposures.csv"))))

        assert [row["unit"] for row in found] == [f'u,"{n}' for n in range(7)]
        assert {row["unit"]: row["arm"] for row in found} == {a.unit: a.arm for a in answers}
        assert {row["probability"] for row in found} == {0.5}
        assert {row["attributes"] for row in found} == {'{"desk": "fx"}'}
        assert entries("exposures").count() == 1


class TestTexts:
    @pytest.mark.parametrize(
        ("unit", "shown"),
        [('=HYPERLINK("https://x")', '\'=HYPERLINK("https://x")'), ("@a", "'@a"), ("-2+3", "'-2+3"),
         ("-5", "-5"), ("+1.5", "+1.5"), ("a=b", "a=b")],
    )  # fmt: skip
    def test_are_computed_by_no_spreadsheet(self, unit, shown):
        names = outgoing.EXPOSURES.names
        row = dict.fromkeys(names) | {"at": 0, "unit": unit, "attributes": '{"a": 1}'}
        batch = outgoing.batch_of(outgoing.EXPOSURES, {name: [row[name]] for name in names})
        texts, exact = (
            b"".join(outgoing.written(outgoing.EXPOSURES, iter([batch]), outgoing.Format(kind)))
            for kind in ("csv", "arrow")
        )

        (found,) = csv.DictReader(io.StringIO(texts.decode()))
        assert (found["unit"], found["attributes"]) == (shown, '{"a": 1}')
        assert arrow_rows(exact)[0]["unit"] == unit


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "asked", "words"),
        [
            ("outcomes.csv", {"metric": "retrun"}, "retrun"),
            ("outcomes.xlsx", {}, "outcomes.xlsx is no export"),
            (
                "outcomes.csv",
                {"since": "2026-01-06T00:00:00Z", "until": "2026-01-05T00:00:00Z"},
                "after since",
            ),
        ],
    )
    def test_leave_no_entry(self, api, owner, name, asked, words):
        experiment = running(owner)

        answer = api.get(url(experiment, name), asked)

        assert words in json.dumps(problem(answer, 422))
        assert not entries("outcomes").exists()

    def test_of_a_token_that_may_only_feed(self, owner):
        experiment = running(owner)

        answer = client(owner, "experiments:feed").get(url(experiment, "outcomes.csv"))

        problem(answer, 403)
        assert not entries("outcomes").exists()


class TestCommand:
    def test_writes_a_file_whole_and_says_why(self, owner, tmp_path, capsys):
        experiment = running(owner)
        take(experiment, owner, of_arms(6))
        out = tmp_path / "all.arrow"

        call_command(
            "export_outcomes", experiment.name, "--out", str(out), "--since",
            (START + timedelta(minutes=2)).isoformat(), "--actor", owner.username, "--reason",
            "for the desk", "--json",
        )  # fmt: skip

        told = json.loads(capsys.readouterr().out)
        assert told == {"file": str(out), "bytes": out.stat().st_size}
        assert len(arrow_rows(out.read_bytes())) == 4
        assert [one.name for one in tmp_path.iterdir()] == ["all.arrow"]
        assert entries("outcomes").get().reason == "for the desk"

    def test_writes_exposures(self, owner, tmp_path):
        experiment = running(owner, design="assigned")
        assign_units(
            experiment_id=experiment.public_id, units=[Unit("AAPL", {})], actor=owner, at=NOW
        )
        out = tmp_path / "units.csv"

        call_command("export_outcomes", experiment.name, "--exposures", "--out", str(out))

        assert [row["unit"] for row in csv_rows(out.read_bytes())] == ["AAPL"]

    @pytest.mark.parametrize(
        "words",
        [
            ["--out", "all.xlsx"],
            ["--out", "all.csv", "--since", "yesterday"],
            ["--out", "all.csv", "--since", "2026-01-05T00:00:00"],
            ["--out", "all.csv", "--exposures", "--metric", "return"],
            ["--out", "no/such/folder/all.csv"],
        ],
    )
    def test_refuses_what_it_cannot_write(self, owner, tmp_path, monkeypatch, words):
        monkeypatch.chdir(tmp_path)
        experiment = running(owner)

        with pytest.raises((CommandError, SystemExit)):
            call_command("export_outcomes", experiment.name, *words)

        assert list(tmp_path.iterdir()) == []


class TestPage:
    def test_hands_out_outcomes_and_says_who_took_them(self, owner):
        experiment = running(owner)
        take(experiment, owner, of_arms(3))
        browser, auditor = Client(), account("auditor")
        browser.force_login(auditor)
        page = reverse("admin:experiments_experiment_change", args=[experiment.pk])

        shown = browser.get(page).content.decode()
        path = reverse("admin:experiments_experiment_outcomes_file", args=[experiment.pk])
        answer = browser.get(path, follow=True)

        assert "Outcomes as CSV" in shown
        assert "Exposures as CSV" not in shown, "it is no assigned one"
        assert len(csv_rows(content(answer))) == 3
        assert entries("outcomes").get().actor == auditor.username
        assert Outcome.objects.count() == 3

    def test_knows_no_other_table(self, owner):
        experiment = running(owner)
        browser = Client()
        browser.force_login(owner)

        path = reverse("admin:experiments_experiment_export", args=[experiment.pk, "keys"])
        answer = browser.get(path, follow=True)

        assert "is no export" in answer.content.decode()
