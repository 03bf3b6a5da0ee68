"""Runs over REST."""

import hashlib
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from backtests.lifecycle import RunStatus
from backtests.models import Run
from backtests.selectors import specs
from crowetrade_site.core import audit
from tests.factories.accounts import account
from tests.factories.backtests import AT, dataset_row, queued, run_row, spec
from tests.factories.clients import client, problem

RUNS = "/api/v1/runs/"


def url(run, tail="") -> str:
    return f"{RUNS}{run.public_id}/{tail}"


@pytest.fixture
def row(owner):
    return dataset_row(owner, name="rows")


def walk(api, address) -> list[dict]:
    """Return the rows of every page."""
    rows = []
    while address:
        page = api.get(address).json()
        rows += page["results"]
        address = page["next"]
    return rows


class TestQueue:
    def test_answers_with_the_queued_run(self, api, tiny, owner):
        answer = api.post(RUNS, {"spec": spec(), "reason": "a hunch"})

        body = answer.json()
        assert answer.status_code == 201
        assert (body["status"], body["reason"]) == ("queued", "a hunch")
        assert body["dataset"] == "tiny"
        assert body["requested_by"] == owner.username
        assert body["spec"]["dataset"] == f"tiny@sha256:{tiny.digest}"
        assert body["id"] == str(Run.objects.get().public_id)

    def test_makes_one_run_of_one_key(self, api, tiny):
        answers = [
            api.post(RUNS, {"spec": spec()}, headers={"Idempotency-Key": "k-1"}) for _ in range(3)
        ]

        assert {answer.json()["id"] for answer in answers} == {str(Run.objects.get().public_id)}

    def test_refuses_a_key_used_for_another_spec(self, api, tiny):
        api.post(RUNS, {"spec": spec()}, headers={"Idempotency-Key": "k"})

        answer = api.post(RUNS, {"spec": spec(seed=1)}, headers={"Idempotency-Key": "k"})

        assert problem(answer, 409)["type"] == "urn:crowetrade:problem:duplicate-request"

    @pytest.mark.parametrize("key", ["k" * 201, "k\x01"])
    def test_refuses_a_key_that_cannot_be_kept(self, api, tiny, key):
        answer = api.post(RUNS, {"spec": spec()}, headers={"Idempotency-Key": key})

        problem(answer, 422)
        assert not Run.objects.exists()

    def test_names_the_nearest_key_and_every_fault(self, api, tiny):
        answer = api.post(RUNS, {"spec": spec(capitol=1, sede=2)})

        body = problem(answer, 422)
        assert body["detail"] == (
            "capitol: unknown key; did you mean 'capital'? sede: unknown key; did you mean 'seed'?"
        )
        assert [fault["path"] for fault in body["errors"]] == ["spec.capitol", "spec.sede"]

    def test_names_the_faults_of_the_strategy_beside_the_others(self, api, tiny):
        strategy = {
            "signals": [{"kind": "momentum", "lookback_days": "many", "skipp_days": 1}],
            "portfolio": {"kind": "equal_weight", "top": 0},
        }

        answer = api.post(RUNS, {"spec": spec(capitol=1, capital=0, strategy=strategy)})

        assert [fault["path"] for fault in problem(answer, 422)["errors"]] == [
            "spec.capitol", "spec.capital", "spec.strategy.signals.0.skipp_days",
            "spec.strategy.portfolio.top", "spec.strategy.signals.0.lookback_days",
        ]  # fmt: skip
        estimate = api.post(f"{RUNS}estimate/", {"spec": spec(capitol=1, strategy=strategy)})
        assert len(problem(estimate, 422)["errors"]) == 4

    def test_names_the_faults_of_all_strategies_that_are_compared(self, api, tiny):
        wrong = {"signals": [], "portfolio": {"kind": "equal_wait"}}
        compared = {"one": wrong, "two": "buy_and_hold", "three": wrong, "four": 4}

        answer = api.post(
            RUNS, {"spec": spec(kind="comparison", comparison={"strategies": compared}, sede=1)}
        )

        paths = {fault["path"] for fault in problem(answer, 422)["errors"]}
        assert "spec.sede" in paths
        assert {f"spec.comparison.strategies.{one}.portfolio" for one in ("one", "three")} <= paths
        assert not any("two" in path for path in paths)

    def test_reads_no_strategy_of_more_than_may_be_compared(self, api, tiny, monkeypatch):
        read = []
        monkeypatch.setattr(specs, "get_spec", lambda one, **_: read.append(one))
        compared = {f"s{n}": {"x": 1} for n in range(51)}

        answer = api.post(
            RUNS, {"spec": spec(kind="comparison", comparison={"strategies": compared})}
        )

        (fault,) = problem(answer, 422)["errors"]
        assert fault["path"] == "spec.comparison.strategies"
        assert "at most 50" in fault["message"]
        assert len(read) <= 1

    def test_lists_a_hundred_faults_of_fifty_strategies(self, api, tiny):
        wrong = {f"k{n}": 1 for n in range(10)}
        compared = {f"s.{n}": wrong for n in range(50)}

        answer = api.post(
            RUNS, {"spec": spec(kind="comparison", comparison={"strategies": compared})}
        )

        body = problem(answer, 422)
        assert len(body["errors"]) == 100
        assert body["n_more_errors"] == 50 * 12 - 100
        assert body["errors"][0]["path"] == 'spec.comparison.strategies."s.0".k0'

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({}, "spec"),
            ({"spec": "kind: backtest"}, "spec"),
            ({"spec": [1]}, "spec"),
            ({"spec": None}, "spec"),
            ({"spec": {}}, "spec.dataset"),
            ({"spec": {"dataset": 5, "strategy": "buy_and_hold"}}, "spec.dataset"),
            ({"spec": spec(kind="sweep", search={"kind": "grid", "ovr": 1})}, "spec.search.ovr"),
            ({"spec": spec(), "sede": 7}, "sede"),
            ({"spec": spec(), "reason": "x" * 501}, "reason"),
            ({"spec": spec(), "reason": "a\0b"}, "reason"),
        ],
    )
    def test_refuses_a_body_that_is_wrong(self, api, tiny, body, path):
        answer = api.post(RUNS, body)

        assert problem(answer, 422)["errors"][0]["path"] == path

    @pytest.mark.parametrize(
        "strategy", [5, None, [], {}, {"signals": 3, "portfolio": []}, "", "x" * 300]
    )
    def test_refuses_a_strategy_that_is_none(self, api, tiny, strategy):
        answer = api.post(RUNS, {"spec": spec() | {"strategy": strategy}})

        assert problem(answer, 422)["detail"].startswith("strategy")

    @pytest.mark.parametrize(
        "text", ["{", "[]", '{"spec": NaN}', '"x"', '{"spec": {"capital": 1e999}}']
    )
    def test_refuses_a_body_that_is_no_json_object(self, api, tiny, text):
        answer = api.post(RUNS, data=text, content_type="application/json")

        assert problem(answer, answer.status_code)["status"] in {400, 422}

    def test_refuses_an_unknown_dataset(self, api, tiny):
        answer = api.post(RUNS, {"spec": spec("tiney")})

        assert "did you mean 'tiny'?" in problem(answer, 404)["detail"]

    def test_refuses_another_media_type(self, api):
        problem(api.post(RUNS, data=b"\x00", content_type="application/octet-stream"), 415)


class TestScopes:
    def test_want_a_login(self, db):
        problem(APIClient().get(RUNS), 401)
        problem(APIClient().post(RUNS, {}), 401)

    def test_want_the_tokens_own_scope(self, owner, tiny):
        reader = client(owner, "runs:read")

        assert reader.get(RUNS).status_code == 200
        assert problem(reader.post(RUNS, {"spec": spec()}), 403)["scope"] == "runs:write"

    def test_want_a_role_that_gives_it(self, tiny):
        auditor = account("auditor")
        logged_in = APIClient()
        logged_in.force_login(auditor)

        assert logged_in.get(RUNS).status_code == 200
        problem(logged_in.post(RUNS, {"spec": spec()}), 403)

    @pytest.mark.parametrize("method", ["put", "patch", "delete"])
    def test_know_no_other_verb(self, api, method):
        problem(getattr(api, method)(RUNS), 405)


class TestList:
    def test_shows_the_newest_first(self, api, row, owner):
        made = [str(run_row(row, owner).public_id) for _ in range(3)]

        assert [run["id"] for run in api.get(RUNS).json()["results"]] == made[::-1]

    def test_pages_through_every_run_once(self, api, row, owner):
        made = {str(run_row(row, owner).public_id) for _ in range(23)}

        rows = walk(api, f"{RUNS}?page_size=5")

        assert len(rows) == 23
        assert {run["id"] for run in rows} == made

    def test_stays_put_while_runs_arrive(self, api, row, owner):
        first = {str(run_row(row, owner).public_id) for _ in range(6)}
        page = api.get(f"{RUNS}?page_size=3").json()
        run_row(row, owner)

        rest = walk(api, page["next"])

        assert {run["id"] for run in page["results"] + rest} == first

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("status=failed", 1),
            ("status=failed&status=queued", 3),
            ("kind=backtest", 4),
            ("dataset=rows", 4),
            ("dataset=others", 0),
            ("requested_by=nobody", 0),
            ("result_digest=" + "e" * 64, 1),
            ("spec_digest=" + "a" * 64, 4),
            ("created_before=2000-01-01T00:00:00Z", 0),
            ("created_after=2000-01-01T00:00:00Z", 4),
        ],
    )
    def test_filters(self, api, row, owner, query, expected):
        for status in ("queued", "queued", "failed", "succeeded"):
            run_row(row, owner, status)

        assert len(api.get(f"{RUNS}?{query}").json()["results"]) == expected

    @pytest.mark.parametrize(
        "query", ["status=flying", "kind=sweeep", "created_after=soon", "dataset=a%00b"]
    )
    def test_refuses_a_filter_value_that_is_none(self, api, query):
        problem(api.get(f"{RUNS}?{query}"), 422)

    def test_refuses_a_cursor_that_is_none(self, api):
        problem(api.get(f"{RUNS}?cursor=abc"), 404)

    @pytest.mark.parametrize("field", ["created_at", "queued_at", "status", "kind"])
    def test_orders_both_ways_across_pages(self, api, row, owner, field):
        for number, status in enumerate(["queued", "failed", "succeeded"] * 3):
            run_row(row, owner, status, queued_at=AT + timedelta(hours=number % 4))
        up = list(Run.objects.order_by(field, "id").values_list("public_id", flat=True))

        rising = walk(api, f"{RUNS}?ordering={field}&page_size=2")
        falling = walk(api, f"{RUNS}?ordering=-{field}&page_size=2")

        assert [run["id"] for run in rising] == [str(one) for one in up]
        assert [run["id"] for run in falling] == [str(one) for one in up[::-1]]

    @pytest.mark.parametrize("field", ["finished_at", "spec", "requested_by__password", "-"])
    def test_refuses_an_ordering_that_is_not_offered(self, api, field):
        body = problem(api.get(f"{RUNS}?ordering={field}"), 422)

        assert "created_at, -created_at" in body["detail"]

    def test_needs_the_same_queries_for_any_number_of_runs(self, api, row, owner):
        api.get(RUNS)  # the token notes its first use
        counts = []
        for n_more in (1, 30):
            for _ in range(n_more):
                run_row(row, owner, "succeeded")
            with CaptureQueriesContext(
                connection,
            ) as queries:
                api.get(RUNS)
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 5


class TestGet:
    def test_returns_spec_progress_and_result(self, api, finished):
        body = api.get(url(finished)).json()

        assert body["status"] == "succeeded"
        assert body["progress"] == {"phase": "", "done": 56, "total": 56, "unit": "bars"}
        assert body["result_digest"] == finished.result_digest
        assert body["summary"]["metrics"]["sharpe"]["unit"]
        assert body["spec"] == finished.spec
        assert body["environment"]["numpy"]

    def test_needs_few_queries(self, api, row, owner):
        run = run_row(row, owner)

        with CaptureQueriesContext(connection) as queries:
            api.get(url(run))

        assert len(queries) <= 5

    def test_finds_no_unknown_run(self, api):
        problem(api.get(f"{RUNS}{uuid4()}/"), 404)

    @pytest.mark.parametrize("tail", ["", "cancel/", "report/", "artifacts/"])
    def test_finds_nothing_at_an_address_without_an_id(self, api, tail):
        problem(api.get(f"{RUNS}not-an-id/{tail}"), 404)


class TestCancel:
    def test_cancels(self, api, tiny, owner):
        run = queued(owner)

        answer = api.post(url(run, "cancel/"), {"reason": "a typo"})

        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        told = api.get(url(run)).json()["cancellation"]
        assert (told["by"], told["reason"]) == (owner.get_username(), "a typo")

    def test_names_the_one_who_asked_not_the_worker_that_stopped(self, api, row, owner):
        run = run_row(row, owner, "running")
        api.post(url(run, "cancel/"), {"reason": "wrong dates"})
        with transaction.atomic():
            audit.record("backtests.run.cancelled", run, actor=None, at=timezone.now())

        told = api.get(url(run)).json()["cancellation"]

        assert (told["by"], told["reason"]) == (owner.get_username(), "wrong dates")

    def test_tells_of_none_where_nobody_asked(self, api, row, owner):
        assert api.get(url(run_row(row, owner))).json()["cancellation"] is None

    def test_refuses_a_run_that_is_over(self, api, row, owner):
        answer = api.post(url(run_row(row, owner, "failed"), "cancel/"))

        assert problem(answer, 409)["type"] == "urn:crowetrade:problem:illegal-transition"

    def test_refuses_anothers_run(self, row, owner):
        other = client(account("researcher"))

        problem(other.post(url(run_row(row, owner), "cancel/")), 403)

    def test_refuses_a_reader(self, row, owner):
        problem(client(owner, "runs:read").post(url(run_row(row, owner), "cancel/")), 403)

    def test_finds_no_unknown_run(self, api):
        problem(api.post(f"{RUNS}{uuid4()}/cancel/"), 404)


class TestReport:
    def test_is_a_file_of_its_own(self, api, finished):
        answer = api.get(url(finished, "report/"))

        assert answer["Content-Type"].startswith("text/html")
        assert answer["Content-Disposition"].startswith('attachment; filename="report-')
        assert finished.result_digest in answer.content.decode()

    @pytest.mark.parametrize("status", ["queued", "running", "failed", "cancelled"])
    def test_refuses_a_run_without_a_result(self, api, row, owner, status):
        problem(api.get(url(run_row(row, owner, status), "report/")), 409)

    def test_refuses_a_corrupted_artifact(self, api, finished, settings):
        corrupt(settings, finished.artifacts["curves.parquet"]["digest"])

        body = problem(api.get(url(finished, "report/")), 409)
        assert body["type"] == "urn:crowetrade:problem:corrupted"


def corrupt(settings, digest) -> None:
    path = settings.ARTIFACT_ROOT / digest[:2] / digest[2:4] / digest
    path.chmod(0o600)
    path.write_bytes(b"x" + path.read_bytes()[1:])


class TestArtifacts:
    def test_are_listed_with_addresses_that_work(self, api, finished):
        rows = api.get(url(finished, "artifacts/")).json()

        assert [row["name"] for row in rows] == sorted(finished.artifacts)
        for row in rows:
            content = b"".join(api.get(row["url"]).streaming_content)
            assert hashlib.sha256(content).hexdigest() == row["digest"]
            assert len(content) == row["bytes"]

    def test_are_none_before_the_run_is_over(self, api, row, owner):
        assert api.get(url(run_row(row, owner), "artifacts/")).json() == []

    def test_carry_their_digest_as_etag(self, api, finished):
        digest = finished.artifacts["metrics.json"]["digest"]
        address = url(finished, "artifacts/metrics.json/")

        answer = api.get(address)
        answer.close()

        assert answer["ETag"] == f'"{digest}"'
        assert answer["Content-Disposition"] == 'attachment; filename="metrics.json"'
        for held in (f'"{digest}"', f'W/"{digest}"', f'"x", "{digest}"', "*"):
            again = api.get(address, headers={"If-None-Match": held})
            assert (again.status_code, again.content, again["ETag"]) == (304, b"", answer["ETag"])
        other = api.get(address, headers={"If-None-Match": '"x"'})
        other.close()
        assert other.status_code == 200

    @pytest.mark.parametrize("name", ["other.parquet", "..", "..%2f..%2fsecret_key", "%00"])
    def test_have_no_other_names(self, api, finished, name):
        problem(api.get(url(finished, f"artifacts/{name}/")), 404)

    def test_are_never_served_corrupted(self, api, finished, settings):
        corrupt(settings, finished.artifacts["fills.parquet"]["digest"])

        problem(api.get(url(finished, "artifacts/fills.parquet/")), 409)

    def test_want_the_scope(self, owner, finished):
        other = client(owner, "datasets:read")

        for tail in ("", "report/", "artifacts/", "artifacts/metrics.json/"):
            problem(other.get(url(finished, tail)), 403)


class TestWorkedEndToEnd:
    def test_goes_from_request_to_report(self, transactional_db, api, tiny):
        from backtests import jobs

        run = api.post(RUNS, {"spec": spec()}).json()
        jobs.execute_run(run_id=run["id"], worker="test")

        assert api.get(f"{RUNS}{run['id']}/").json()["status"] == RunStatus.SUCCEEDED
        assert api.get(f"{RUNS}{run['id']}/report/").status_code == 200
