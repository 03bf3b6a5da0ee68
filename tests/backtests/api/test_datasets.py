"""Datasets over REST."""

import json
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backtests import jobs
from backtests.models import Dataset
from crowetrade_site.core.models import AuditEvent
from tests.factories.accounts import account
from tests.factories.backtests import BARS, dataset_row, write_bars
from tests.factories.clients import client, problem

DATASETS = "/api/v1/datasets/"


@pytest.fixture
def content(tmp_path) -> bytes:
    return write_bars(tmp_path / "prices.csv").read_bytes()


@pytest.fixture
def upload(api):
    """Send a form; without `options` it states what the file is."""

    def send(content=b"", name="fresh", file_name="prices.csv", options=BARS, **headers):
        form = {"name": name, "file": SimpleUploadedFile(file_name, content)}
        if options is not None:
            form["options"] = options if isinstance(options, str) else json.dumps(options)
        return api.post(DATASETS, form, format="multipart", headers=headers)

    return send


def stored(settings) -> list:
    """Return the files in the store."""
    return [path for path in settings.ARTIFACT_ROOT.rglob("*") if path.is_file()]


class TestUpload:
    def test_goes_from_file_to_ready_dataset(self, api, upload, content):
        answer = upload(content)
        body = answer.json()
        jobs.import_dataset(dataset_id=body["id"])
        ready = api.get(f"{DATASETS}{body['id']}/").json()

        assert (answer.status_code, body["status"], body["version"]) == (202, "importing", None)
        assert (ready["status"], ready["version"], ready["source_name"]) == (
            "ready", 1, "prices.csv",
        )  # fmt: skip
        assert (ready["n_rows"], ready["n_instruments"], ready["currency"]) == (180, 3, "USD")
        assert ready["manifest"]["content"]["symbols"] == ["AAA", "BBB", "CCC"]
        assert ready["report"]["n_refused"] == 0

    def test_tells_why_a_file_was_refused(self, api, upload):
        body = upload(b"a,b\n1,2\n").json()
        jobs.import_dataset(dataset_id=body["id"])

        refused = api.get(f"{DATASETS}{body['id']}/").json()

        assert refused["status"] == "refused"
        assert refused["problem"]["status"] == 422
        assert refused["problem"]["detail"]
        assert refused["report"]["findings"]

    def test_tells_every_error_and_how_many_rows_it_is(self, api, upload):
        text = (
            b"date,symbol,open,high,low,close,volume\n"
            b"2024-01-02,AAA,1,2,0.5,1.5,10\n2024-01-02,AAA,1,2,0.5,1.6,10\n"
            b"2024-01-03,AAA,-1,0.5,2,1.5,10\n2024-01-04,BBB,1,2,0.5,,10\n"
        )
        body = upload(text).json()
        jobs.import_dataset(dataset_id=body["id"])

        refused = api.get(f"{DATASETS}{body['id']}/").json()

        errors, findings = refused["problem"]["errors"], refused["report"]["findings"]
        grave = [one for one in findings if one["severity"] == "error"]
        assert len(errors) == len(grave) > 2
        assert {fault["path"] for fault in errors} == {"file"}
        assert "BBB: 1 bars have some values and lack others" in " ".join(
            fault["message"] for fault in errors
        )
        assert (refused["n_rows"], refused["n_refused"], refused["report"]["n_refused"]) == (
            0,
            4,
            4,
        )
        assert sum(one["n_refused"] for one in findings) == 4
        assert sum(one["count"] for one in grave) == 5  # one row has two faults

    def test_makes_one_dataset_of_one_key(self, upload, content):
        ids = {upload(content, **{"Idempotency-Key": "k"}).json()["id"] for _ in range(2)}

        assert len(ids) == 1
        problem(upload(content, name="other", **{"Idempotency-Key": "k"}), 409)

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("../../etc/passwd.csv", "passwd.csv"),
            ("C:\\prices\\day.csv", "day.csv"),
            ("a\x00b.csv", "ab.csv"),
            ("naïve 数.csv", "naïve 数.csv"),
            ("x" * 400 + ".csv", "x" * 251 + ".csv"),
            ("-rf.csv", "-rf.csv"),
        ],
    )
    def test_takes_a_files_own_name_without_its_folders(self, upload, content, given, kept):
        answer = upload(content, file_name=given)

        jobs.import_dataset(dataset_id=answer.json()["id"])

        dataset = Dataset.objects.get()
        assert (dataset.source_name, dataset.status) == (kept, "ready")


HOSTILE = {
    "empty file": ({"content": b""}, "file: The submitted file is empty."),
    "options not JSON": ({"options": "{kind: bars"}, "options: Value must be valid JSON."),
    "options no object": ({"options": "[1]"}, "options: options must be a JSON object."),
    "unknown option": ({"options": {"curency": "USD"}}, "did you mean 'currency'?"),
    "option of a wrong type": ({"options": {"batch_rows": "many"}}, "batch_rows: "),
    "option with NaN": ({"options": '{"batch_rows": NaN}'}, "options: "),
    "option with a NUL": ({"options": {"symbol": "a\0"}}, "holds a NUL character"),
    "name no slug": ({"name": "../up"}, "name: "),
    "name too long": ({"name": "n" * 81}, "name: "),
    "no name": ({"name": ""}, "name: "),
}


class TestUploadRefuses:
    @pytest.mark.parametrize(("changes", "sentence"), HOSTILE.values(), ids=list(HOSTILE))
    def test_and_keeps_nothing(self, upload, settings, changes, sentence):
        answer = upload(**{"content": b"date,close\n"} | changes)

        assert sentence in problem(answer, 422)["detail"]
        assert not Dataset.objects.exists()
        assert not AuditEvent.objects.filter(verb__startswith="backtests").exists()
        assert stored(settings) == []

    def test_a_key_that_cannot_be_kept(self, upload, content):
        problem(upload(content, **{"Idempotency-Key": "k" * 201}), 422)
        assert not Dataset.objects.exists()

    def test_a_form_without_a_file(self, api):
        answer = api.post(DATASETS, {"name": "n"}, format="multipart")

        assert problem(answer, 422)["errors"] == [
            {"path": "file", "message": "No file was submitted."}
        ]

    def test_text_in_the_place_of_a_file(self, api):
        problem(api.post(DATASETS, {"name": "n", "file": "x,y"}, format="multipart"), 422)

    def test_what_is_no_form(self, api):
        problem(api.post(DATASETS, {"name": "n"}, format="json"), 415)
        problem(api.post(DATASETS, b"a,b", content_type="text/csv"), 415)

    @pytest.mark.parametrize("body", [b"", b"--x\r\nContent-Disp", b"garbage"])
    def test_a_form_that_is_cut_off(self, api, body):
        answer = api.post(DATASETS, body, content_type="multipart/form-data; boundary=x")

        assert problem(answer, answer.status_code)["status"] in {400, 422}

    def test_a_form_without_a_boundary(self, api):
        problem(api.post(DATASETS, b"x", content_type="multipart/form-data"), 400)

    @pytest.mark.parametrize("role", ["auditor", "operator", "validator"])
    def test_a_role_without_the_right(self, db, role, content, settings):
        form = {"name": "n", "file": SimpleUploadedFile("p.csv", content)}

        problem(client(account(role)).post(DATASETS, form, format="multipart"), 403)
        assert stored(settings) == []


class TestList:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", 3), ("name=rows-a", 1), ("status=ready", 2), ("status=quarantined", 1),
            ("kind=quotes", 1), ("digest=" + "f" * 64, 1), ("name=none", 0),
        ],
    )  # fmt: skip
    def test_filters(self, api, owner, query, expected):
        dataset_row(owner, name="rows-a", digest="f" * 64)
        dataset_row(owner, status="quarantined")
        dataset_row(owner, kind="quotes")

        assert len(api.get(f"{DATASETS}?{query}").json()["results"]) == expected

    @pytest.mark.parametrize("field", ["created_at", "name", "status", "kind", "n_rows"])
    def test_orders_both_ways_across_pages(self, api, owner, field):
        for number in range(7):
            dataset_row(owner, n_rows=number % 3)
        up = [str(one.public_id) for one in Dataset.objects.order_by(field, "id")]

        found = []
        for sign in ("", "-"):
            address, ids = f"{DATASETS}?ordering={sign}{field}&page_size=3", []
            while address:
                page = api.get(address).json()
                ids += [row["id"] for row in page["results"]]
                address = page["next"]
            found.append(ids)

        assert found == [up, up[::-1]]

    def test_refuses_an_ordering_that_is_not_offered(self, api):
        problem(api.get(f"{DATASETS}?ordering=version"), 422)  # a version may be NULL

    def test_needs_the_same_queries_for_any_number_of_rows(self, api, owner):
        api.get(DATASETS)  # the token notes its first use
        counts = []
        for n_more in (1, 30):
            for _ in range(n_more):
                dataset_row(owner)
            with CaptureQueriesContext(connection) as queries:
                api.get(DATASETS)
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 5

    def test_wants_the_scope(self, owner):
        problem(client(owner, "runs:read").get(DATASETS), 403)


class TestGet:
    def test_returns_manifest_and_report(self, api, tiny):
        body = api.get(f"{DATASETS}{tiny.public_id}/").json()

        assert body["digest"] == body["manifest"]["digest"] == tiny.digest
        assert body["report"]["n_accepted"] == 180

    def test_finds_no_unknown_dataset(self, api):
        problem(api.get(f"{DATASETS}{uuid4()}/"), 404)
