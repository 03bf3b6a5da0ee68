"""Assignments and outcomes over REST."""

import io
import json
from datetime import timedelta
from uuid import uuid4

import pyarrow as pa
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from experiments import services
from experiments.models import Exposure, Outcome
from tests.factories.accounts import account
from tests.factories.clients import client, problem
from tests.factories.feeding import START, of_arms, running

ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture
def owner(db):
    return account("researcher")


@pytest.fixture
def api(owner):
    return client(owner, "experiments:feed")


def url(experiment, tail) -> str:
    return f"/api/v1/experiments/{experiment.public_id}/{tail}/"


def send(api, experiment, body, kind="application/json"):
    return api.generic("POST", url(experiment, "outcomes"), body, content_type=kind)


def stream(rows) -> bytes:
    table, sink = pa.Table.from_pylist(rows), io.BytesIO()
    table = table.set_column(
        table.column_names.index("at"), "at",
        pa.array([row["at"] for row in rows], pa.string()).cast(pa.timestamp("ns", "UTC")),
    )  # fmt: skip
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


class TestAssign:
    def test_answers_with_the_arm(self, api, owner):
        experiment = running(owner, design="assigned")

        answers = [api.post(url(experiment, "assign"), {"unit": "AAPL"}).json() for _ in range(2)]

        assert answers[0] == {
            "unit": "AAPL", "arm": Exposure.objects.get().arm.name, "probability": 0.5,
            "allocation": 1, "context": None, "reason": "assigned", "is_new": True,
        }  # fmt: skip
        assert answers[1] == answers[0] | {"is_new": False}

    def test_answers_for_several_in_their_order(self, api, owner):
        experiment = running(owner, design="assigned")
        units = ["MSFT", {"unit": "AAPL", "attributes": {"desk": "equities"}}]

        body = api.post(url(experiment, "assign"), {"units": units}).json()

        assert [one["unit"] for one in body["assignments"]] == ["MSFT", "AAPL"]
        assert Exposure.objects.get(unit="AAPL").attributes == {"desk": "equities"}

    def test_needs_four_queries_at_first_and_fewer_after(self, api, owner):
        experiment = running(owner, design="assigned")
        api.post(url(experiment, "assign"), {"unit": "warm"})

        for n_most in (3, 2):  # token with roles, what is known, the exposure
            with CaptureQueriesContext(connection) as queries:
                api.post(url(experiment, "assign"), {"unit": "AAPL"})
            assert len(queries) <= n_most

    @pytest.mark.parametrize(
        "body",
        [
            {}, [], {"unit": 7}, {"unit": ""}, {"unit": "a", "units": ["a"]}, {"units": []},
            {"units": [7]}, {"units": "a"}, {"unit": "a", "attributes": []}, {"uint": "a"},
            {"unit": "x" * 2_000_000},
        ],
    )  # fmt: skip
    def test_refuses_what_is_no_question(self, api, owner, body):
        experiment = running(owner, design="assigned")

        problem(api.post(url(experiment, "assign"), body, format="json"), 422)
        assert not Exposure.objects.exists()

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"uint": "a"}, "uint"),
            ({"unit": "a", "attribute": {}}, "attribute"),
            ({"units": ["a", {"uint": "b"}]}, "units.1.uint"),
            ({"units": ["a", {"unit": "b", "attributes": 7}]}, "units.1.attributes"),
            ({"units": [7]}, "units.0"),
            ({"unit": "a", "\ud800": 1}, "?"),
        ],
    )
    def test_says_which_part_of_the_question_is_wrong(self, api, owner, body, path):
        experiment = running(owner, design="assigned")

        answer = api.post(
            url(experiment, "assign"), json.dumps(body), content_type="application/json"
        )

        assert problem(answer, 422)["errors"][0]["path"] == path

    def test_refuses_a_unit_of_ten_megabytes(self, api, owner):
        body = {"unit": "x" * 10_000_000}

        problem(
            api.post(url(running(owner, design="assigned"), "assign"), body, format="json"), 413
        )

    def test_refuses_unless_it_runs(self, api, owner):
        experiment = running(owner)

        body = problem(api.post(url(experiment, "assign"), {"unit": "a"}), 409)

        assert body["type"].endswith(":not-running")

    def test_needs_the_scope(self, owner):
        reader = client(owner, "experiments:read")

        problem(reader.post(url(running(owner), "assign"), {"unit": "a"}), 403)


class TestOutcomes:
    def test_takes_json(self, api, owner):
        experiment = running(owner)

        answer = send(api, experiment, json.dumps({"outcomes": of_arms(3)}))

        assert answer.status_code == 200
        assert answer.json() == {
            "accepted": 3,
            "duplicate": 0,
            "late": 0,
            "refused": {},
            "refusals": [],
        }

    def test_takes_arrow_and_knows_it_again_as_json(self, api, owner):
        experiment = running(owner)

        first = send(api, experiment, stream(of_arms(3)), ARROW).json()
        again = send(api, experiment, json.dumps({"outcomes": of_arms(3)})).json()

        assert (first["accepted"], again["duplicate"]) == (3, 3)
        assert Outcome.objects.count() == 3

    def test_refuses_a_row_with_an_unknown_key_and_no_other(self, api, owner):
        rows = of_arms(4)
        rows[3]["valu"] = rows[3].pop("value")

        answer = send(api, running(owner), json.dumps({"outcomes": rows})).json()

        assert (answer["accepted"], answer["refused"]) == (3, {"unknown_field": 1})
        assert answer["refusals"] == [
            {
                "row": 3, "reason": "unknown_field",
                "detail": "outcomes.3.valu: unknown key; did you mean 'value'?",
            }
        ]  # fmt: skip

    def test_refuses_a_row_that_is_no_object_and_no_other(self, api, owner):
        rows = [*of_arms(3), 7, [1.0, 2.0], None]

        answer = send(api, running(owner), json.dumps({"outcomes": rows})).json()

        assert (answer["accepted"], answer["refused"]) == (3, {"no_object": 3})
        assert [(told["row"], told["reason"]) for told in answer["refusals"]] == [
            (3, "no_object"), (4, "no_object"), (5, "no_object"),
        ]  # fmt: skip
        assert "is an object, with metric" in answer["refusals"][0]["detail"]

    def test_names_the_place_of_a_key_that_every_row_has_wrong(self, api, owner):
        rows = [row | {"valu": 1} for row in of_arms(2)]

        told = problem(send(api, running(owner), json.dumps({"outcomes": rows})), 422)

        assert told["errors"] == [
            {"path": "outcomes.0.valu", "message": "unknown key; did you mean 'value'?"}
        ]

    def test_says_why_rows_are_refused(self, api, owner):
        rows = [*of_arms(1), {"metric": "no", "value": 1, "at": START.isoformat(), "arm": "x"}]

        body = send(api, running(owner), json.dumps({"outcomes": rows})).json()

        assert (body["accepted"], body["refused"]) == (1, {"unknown_metric": 1})
        assert (body["refusals"][0]["row"], body["refusals"][0]["reason"]) == (1, "unknown_metric")

    def test_takes_infinity_as_json_writes_it_for_a_refusal(self, api, owner):
        text = json.dumps({"outcomes": [of_arms(1)[0] | {"value": float("inf")}]})

        assert send(api, running(owner), text).json()["refused"] == {"not_finite": 1}

    @pytest.mark.parametrize(
        ("body", "kind", "status"),
        [
            (b"{", "application/json", 400),
            (b"[" * 100_000, "application/json", 400),
            (b"[]", "application/json", 422),
            (b'{"outcomes": 1}', "application/json", 422),
            (b'{"outcomes": []}', "application/json", 422),
            (b'{"outcomes": [1]}', "application/json", 422),
            (b'{"outcomes": [{"metirc": "a"}]}', "application/json", 422),
            (b"no stream", ARROW, 422),
            (b"a,b", "text/csv", 415),
            (b'{"outcomes": [' + b"{}," * 10_000 + b"{}]}", "application/json", 413),
            (b" " * (16 * 2**20 + 1), "application/json", 413),
        ],
    )
    def test_refuses_what_is_no_batch(self, api, owner, body, kind, status):
        problem(send(api, running(owner), body, kind), status)

    def test_refuses_once_it_is_over(self, api, owner, django_capture_on_commit_callbacks):
        experiment = running(owner)
        services.conclude_experiment(
            experiment_id=experiment.public_id, verdict="inconclusive", actor=owner,
            at=START + timedelta(days=1), reason="enough",
        )  # fmt: skip

        body = problem(send(api, experiment, json.dumps({"outcomes": of_arms(1)})), 409)

        assert body["type"].endswith(":not-running")

    def test_finds_no_experiment_that_is_not_there(self, api, owner):
        answer = api.generic(
            "POST", f"/api/v1/experiments/{uuid4()}/outcomes/",
            json.dumps({"outcomes": of_arms(1)}), content_type="application/json",
        )  # fmt: skip

        problem(answer, 404)

    def test_needs_seven_queries_for_a_thousand(self, api, owner):
        experiment = running(owner)
        send(api, experiment, json.dumps({"outcomes": of_arms(1, first=5_000)}))

        with CaptureQueriesContext(connection) as queries:
            send(api, experiment, json.dumps({"outcomes": of_arms(1_000)}))

        told = [one["sql"] for one in queries if "SAVEPOINT" not in one["sql"]]
        assert len(told) <= 7, told
