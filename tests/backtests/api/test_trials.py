"""The trials of a study over REST, and what the run's own address says of it."""

import math
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backtests.lifecycle import RunStatus
from crowetrade_site.core import storage
from tests.factories.accounts import account
from tests.factories.backtests import SEARCH, STRATEGY, dataset_row, run_row, study
from tests.factories.clients import client, problem

RUNS = "/api/v1/runs/"


@pytest.fixture
def swept(transactional_db, owner, tmp_path):
    return study(owner, tmp_path)


@pytest.fixture
def trials(api, swept):
    """Ask for a page of trials."""

    def ask(query=""):
        return api.get(f"{RUNS}{swept.public_id}/trials/{query}")

    return ask


@pytest.fixture
def table(swept):
    return pq.read_table(storage.locate(swept.artifacts["trials.parquet"]["digest"])).to_pylist()


def numbers(answer) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [row["number"] for row in answer.json()["results"]]


class TestTrials:
    def test_come_by_number(self, trials):
        body = trials().json()

        assert body["count"] == 12
        assert [row["number"] for row in body["results"]] == list(range(12))
        assert (body["next"], body["previous"]) == (None, None)
        row = body["results"][0]
        assert row["parameters"] == {"signals.0.fast_bars": 2, "signals.0.slow_bars": 4}
        assert row["objective_0"] == row["sharpe"]
        assert {"reason", "violation", "cagr", "max_drawdown", "final_equity"} <= row.keys()
        assert "block_0" not in row

    @pytest.mark.parametrize("name", ["sharpe", "objective_0", "n_fills", "violation"])
    @pytest.mark.parametrize("sign", ["", "-"])
    def test_are_sorted_by_any_figure_those_without_last(self, trials, table, name, sign):
        def key(row):
            value = row[name]
            has_none = value is None or math.isnan(value)
            return (has_none, 0.0 if has_none else value * (-1 if sign else 1), row["number"])

        expected = [row["number"] for row in sorted(table, key=key)]

        assert numbers(trials(f"?order={sign}{name}")) == expected

    def test_have_the_studys_best_first(self, trials, swept):
        leaders = [one["number"] for one in swept.summary["study"]["leaders"]]

        assert numbers(trials("?order=-objective_0&feasible=true")) == leaders

    def test_come_backwards(self, trials):
        assert numbers(trials("?order=-number&limit=3")) == [11, 10, 9]

    def test_are_paged_through_once_each(self, api, trials):
        whole = numbers(trials("?order=-sharpe"))

        rows, page = [], trials("?order=-sharpe&limit=5").json()
        while True:
            rows += [row["number"] for row in page["results"]]
            if page["next"] is None:
                break
            page = api.get(page["next"]).json()

        assert rows == whole
        assert len(page["results"]) == 2
        assert "offset=5" in page["previous"]

    @pytest.mark.parametrize(("feasible", "n"), [("true", 9), ("false", 3)])
    def test_are_told_apart_by_whether_they_are_feasible(self, trials, feasible, n):
        body = trials(f"?feasible={feasible}").json()

        assert body["count"] == len(body["results"]) == n
        assert all(bool(row["reason"]) is (feasible == "false") for row in body["results"])

    def test_have_the_columns_asked_for(self, trials):
        row = trials("?columns=skewness,%20block_3&limit=1").json()["results"][0]

        assert list(row) == [
            "number", "parameters", "reason", "violation", "objective_0", "skewness", "block_3",
        ]  # fmt: skip

    def test_have_every_column_if_asked(self, trials, table):
        row = trials("?columns=all&limit=1").json()["results"][0]

        assert row.keys() == table[0].keys()

    def test_read_no_more_than_their_columns(self, trials, monkeypatch):
        asked = []
        read = pq.ParquetFile.read_row_group
        monkeypatch.setattr(
            pq.ParquetFile, "read_row_group",
            lambda *at, columns, **how: asked.append(columns) or read(*at, columns=columns, **how),
        )  # fmt: skip

        trials("?columns=cagr&limit=2")

        columns = ["number", "parameters", "reason", "violation", "objective_0", "cagr"]
        assert 1 <= len(asked) <= 2
        assert all(one == columns for one in asked)

    def test_are_empty_past_the_end(self, trials):
        body = trials("?offset=100").json()

        assert (body["count"], body["results"], body["next"]) == (12, [], None)

    @pytest.mark.parametrize(
        ("query", "sentence"),
        [
            ("?order=sharp", "did you mean 'sharpe'?"),
            ("?order=parameters", "order: no column 'parameters'"),
            ("?order=--sharpe", "order: no column '-sharpe'"),
            ("?columns=nothing_like_it", "columns: no column 'nothing_like_it'"),
            ("?limit=501", "limit"),
            ("?limit=0", "limit"),
            ("?limit=x", "limit"),
            ("?offset=-1", "offset"),
            ("?offset=1e30", "offset"),
            ("?feasible=maybe", "feasible"),
            ("?order=%00", "order"),
        ],
    )
    def test_refuse_a_question_that_is_wrong(self, trials, query, sentence):
        assert sentence in problem(trials(query), 422)["detail"]

    def test_are_none_of_a_backtest(self, api, owner):
        run = run_row(dataset_row(owner), owner)

        body = problem(api.get(f"{RUNS}{run.public_id}/trials/"), 404)

        assert body["detail"] == "A backtest has no trials; only a study has."

    def test_are_not_there_before_the_study_is_over(self, api, owner):
        run = run_row(dataset_row(owner), owner, RunStatus.RUNNING, kind="sweep")

        assert "is running" in problem(api.get(f"{RUNS}{run.public_id}/trials/"), 409)["detail"]

    def test_are_of_no_unknown_run(self, api):
        problem(api.get(f"{RUNS}{uuid4()}/trials/"), 404)

    def test_want_the_scope(self, swept, owner):
        address = f"{RUNS}{swept.public_id}/trials/"

        problem(client(owner, "datasets:read").get(address), 403)
        assert client(account("auditor")).get(address).status_code == 200

    def test_are_read_in_pieces_or_of_older_studies_whole(self, trials, swept):
        query = "?order=-sharpe&columns=all"
        in_pieces = trials(query).json()
        entry = swept.artifacts["trials.parquet"]
        del entry["pieces"]
        swept.save()

        assert trials(query).json() == in_pieces

    def test_refuse_a_corrupted_table(self, trials, swept, settings):
        digest = swept.artifacts["trials.parquet"]["digest"]
        path = settings.ARTIFACT_ROOT / digest[:2] / digest[2:4] / digest
        path.chmod(0o600)
        path.write_bytes(b"x")

        problem(trials(), 409)


class TestRun:
    def test_says_what_the_best_is_the_best_of(self, api, swept):
        body = api.get(f"{RUNS}{swept.public_id}/").json()

        assert body["progress"] == {"phase": "", "done": 12, "total": 12, "unit": "trials"}
        state = body["study"]
        assert state["claim"] == "best of 12 trials"
        leader = swept.summary["study"]["leaders"][0]
        assert state["best"] == {
            "number": leader["number"], "objective": "sharpe", "value": leader["values"][0],
            "parameters": leader["parameters"],
        }  # fmt: skip
        assert (state["n_done"], state["n_total"], state["n_reused"]) == (12, 12, 0)
        assert state["chunks"]["done"] == sum(state["chunks"].values()) > 0
        assert state["trials_per_second"] > 0
        assert state["eta_seconds"] is None

    def test_counts_bars_of_a_backtest(self, api, finished):
        body = api.get(f"{RUNS}{finished.public_id}/").json()

        assert body["progress"]["unit"] == "bars"
        assert body["study"] is None

    def test_lists_progress_in_trials(self, api, owner):
        for kind in ("sweep", "backtest"):
            run_row(dataset_row(owner), owner, kind=kind)

        rows = api.get(RUNS).json()["results"]

        assert [row["progress"]["unit"] for row in rows] == ["bars", "trials"]

    def test_needs_few_queries(self, api, owner):
        spec = {"kind": "sweep", "strategy": STRATEGY, "search": SEARCH}
        run = run_row(dataset_row(owner), owner, RunStatus.RUNNING, kind="sweep", spec=spec)
        address = f"{RUNS}{run.public_id}/"
        api.get(address)

        with CaptureQueriesContext(connection) as queries:
            assert api.get(address).status_code == 200

        assert len(queries) <= 6
