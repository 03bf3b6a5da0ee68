"""What people see of runs and datasets."""

import json
import re
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest
from django.utils import timezone

from backtests import selectors
from backtests.engine.metrics.definitions import DEFINITIONS
from backtests.lifecycle import ChunkStatus, RunStatus
from backtests.models import Chunk, Run
from backtests.runspec import AccountSpec, RunSpec
from backtests.selectors import figures, tearsheet
from crowetrade_site.core import storage
from crowetrade_site.core.errors import Conflict, NotFound
from tests.factories.backtests import AT, STRATEGY, dataset_row, queued, run_row

SECOND_NS = 1_000_000_000
NEVER = {
    "signals": [{"kind": "momentum", "lookback_days": 5000}],
    "portfolio": {"kind": "equal_weight"},
}


def walk(n_bars: int, seed: int = 1):
    values = np.cumsum(np.random.default_rng(seed).standard_normal(n_bars)) + 1000.0
    return np.arange(n_bars, dtype=np.int64) * 60 * SECOND_NS, values


class TestThin:
    @pytest.mark.parametrize("n_bars", [1, 2, 1499, 1500, 1501, 5000, 100_003])
    def test_keeps_the_extremes_and_both_ends(self, n_bars):
        ts, values = walk(n_bars)

        rows = tearsheet._thin(ts, values)

        kept = [value for _, value in rows]
        assert len(rows) <= tearsheet.MAX_POINTS
        assert min(kept) == pytest.approx(values.min(), rel=1e-9)
        assert max(kept) == pytest.approx(values.max(), rel=1e-9)
        assert (rows[0][0], rows[-1][0]) == (ts[0] // SECOND_NS, ts[-1] // SECOND_NS)

    def test_keeps_a_spike_of_one_bar(self):
        ts, values = walk(50_000)
        values[31_415] = -5e4

        assert [31_415 * 60, -5e4] in tearsheet._thin(ts, values)

    @pytest.mark.parametrize("step_ns", [SECOND_NS, SECOND_NS // 4, 60 * SECOND_NS])
    def test_has_strictly_rising_times(self, step_ns):
        _, values = walk(4000)

        times = [time for time, _ in tearsheet._thin(np.arange(4000) * step_ns, values)]

        assert all(a < b for a, b in pairwise(times))

    def test_leaves_out_what_json_cannot_write(self):
        ts, values = walk(10)
        values[[2, 5]] = np.nan, np.inf

        rows = tearsheet._thin(ts, values)

        assert len(rows) == 8
        json.dumps(rows, allow_nan=False)


class TestCharts:
    def test_survive_an_account_that_lost_everything(self):
        ts, _ = walk(4)
        curves = {
            "ts": ts,
            "equity": np.array([100.0, 50.0, 0.0, -20.0]),
            "equity_change": np.array([0.0, -50.0, -50.0, -20.0]),
            "gross_exposure": np.array([100.0, 100.0, 100.0, 100.0]),
            "commission": np.zeros(4),
        }

        charts = tearsheet._charts(curves)

        assert [value for _, value in charts["exposure"]] == [1.0, 2.0]
        assert [value for _, value in charts["drawdown"]] == [0.0, -0.5, -1.0, -1.2]
        json.dumps(charts, allow_nan=False)

    def test_draw_every_cost_that_occurred(self):
        ts, equity = walk(3)
        curves = {
            "ts": ts, "equity": equity, "equity_change": np.zeros(3), "gross_exposure": equity,
            "commission": np.array([1.0, 0.0, 2.0]), "tax": np.zeros(3),
            "borrow": np.array([0.0, 1.0, 1.0]), "interest": np.array([5.0, -1.0, -2.0]),
        }  # fmt: skip

        charts = tearsheet._charts(curves)

        drawn = {name: [value for _, value in charts[name]] for name in list(charts)[3:]}
        assert drawn == {
            "commission": [1.0, 1.0, 3.0], "borrow": [0.0, 1.0, 2.0], "interest_paid": [0, 1, 3],
        }  # fmt: skip


class TestGetTearsheet:
    def test_shows_figures_costs_and_charts(self, finished):
        sheet = selectors.get_tearsheet(finished)

        assert [figure["name"] for figure in sheet.headlines] == list(tearsheet.HEADLINES)
        assert [row["kind"] for row in sheet.costs] == ["commission", "half_spread"]
        assert sheet.fill_costs == ["Commission", "Half spread"]
        assert sheet.total_cost == pytest.approx(sum(finished.summary["costs"].values()))
        assert len(sheet.charts["equity"]) == 56  # from the first decision on
        assert [row["year"] for row in sheet.months] == [2024]
        assert sheet.fills[0]["symbol"] in {"AAA", "BBB", "CCC"}
        assert sheet.fills[0]["ts"] >= sheet.fills[-1]["ts"]

    def test_shows_the_costs_of_a_fill_and_their_sum(self, finished):
        fill = selectors.get_tearsheet(finished).fills[0]

        assert fill["costs"] == [fill["commission"], fill["half_spread"]]
        assert fill["cost"] == pytest.approx(sum(fill["costs"]))
        assert fill["moment"] == "open"

    def test_shows_the_latest_trades_those_still_open_first(self, finished):
        trades = selectors.get_tearsheet(finished).trades

        ends = [trade["exit_ts"] for trade in trades]
        n_open = finished.summary["n_open_trades"]
        assert ends[:n_open] == [None] * n_open
        assert ends[n_open:] == sorted(ends[n_open:], reverse=True)
        assert all(trade["held"] > 0 for trade in trades)
        assert trades[-1]["share"] == trades[-1]["pnl"] / trades[-1]["entry_notional"]

    def test_shows_each_figure_once(self, finished):
        groups = selectors.get_tearsheet(finished).groups

        shown = [figure["name"] for group in groups for figure in group["figures"]]
        computed = [n for n, m in finished.summary["metrics"].items() if m["value"] is not None]
        assert sorted(shown) == sorted(computed)

    def test_opens_a_run_of_an_older_engine(self, finished):
        finished.artifacts = {k: v for k, v in finished.artifacts.items() if k[0] != "t"}
        finished.summary = {
            name: value
            for name, value in finished.summary.items()
            if name not in {"n_trades", "n_open_trades", "ambiguity", "interest_earned"}
        } | {"costs": {"commission": 5.0, "half_spread": 7.0}}

        sheet = selectors.get_tearsheet(finished)

        assert (sheet.trades, sheet.ambiguity, sheet.interest_earned) == (None, None, 0.0)
        assert "computed before trades were kept" in selectors.render_report(finished)

    def test_draws_the_benchmark_from_the_strategys_start(self, transactional_db, tiny, owner):
        from backtests import jobs

        run = queued(owner, benchmark="tiny/AAA")
        jobs.execute_run(run_id=run.public_id, worker="test")

        charts = selectors.get_tearsheet(Run.objects.get()).charts

        assert charts["benchmark"][0] == charts["equity"][0]

    @pytest.mark.parametrize("status", ["queued", "running", "failed", "cancelled"])
    def test_has_nothing_before_success(self, tiny, owner, status):
        assert selectors.get_tearsheet(run_row(tiny, owner, status)) is None


class TestWriteFigure:
    @pytest.mark.parametrize(
        ("name", "value", "unit", "text"),
        [
            ("cagr", 0.1234, "fraction", "12.34%"),
            ("cagr", 12.5, "fraction", "1,250%"),
            ("worst", -0.000123, "fraction", "-0.012%"),
            ("worst", 0.0, "fraction", "0.00%"),
            ("sharpe", 1.005, "ratio", "1.00"),
            ("turnover", 3.21, "per year", "3.2× a year"),
            ("turnover", 3210.4, "per year", "3,210× a year"),
            ("final", 1234567.8, "currency", "1,234,568"),
            ("expectancy", -0.37, "currency", "-0.37"),
            ("cost", 1.5, "bps", "1.50 bps"),
            ("n_trades", 1234.0, "trades", "1,234"),
            ("track", 512.3, "periods", "512 bars"),
            ("held", 412.4, "days", "412 days"),
            ("held", 1.0, "days", "1 day"),
            ("held", 3.25, "days", "3.25 days"),
            ("held", 0.25, "days", "6 hours"),
            ("held", 7.5 / 1440, "days", "7.5 minutes"),
            ("held", 30 / 86_400, "days", "30 seconds"),
            ("held", 1e-9, "days", "8.64e-05 seconds"),
            ("held", 0.0, "days", "0 days"),
            ("sharpe", None, "ratio", "–"),
        ],
    )
    def test_writes_as_people_do(self, name, value, unit, text):
        assert selectors.write_figure(name, {"value": value, "unit": unit}) == text

    def test_knows_every_unit_of_the_engine(self):
        units = {definition.unit for definition in DEFINITIONS.values()}

        assert units <= set(figures.WRITERS) | {"ratio"}


class TestLabelOf:
    @pytest.mark.parametrize(
        ("name", "label"),
        [
            ("average_holding_days", "Average holding time"),
            ("average_cost_bps", "Average cost"),
            ("cornish_fisher_value_at_risk_95", "Cornish–Fisher value at risk 95 %"),
            ("cagr", "CAGR"),
        ],
    )
    def test_reads_as_people_write(self, name, label):
        assert selectors.label_of(name) == label

    def test_tells_every_metric_apart(self):
        assert len({selectors.label_of(name) for name in DEFINITIONS}) == len(DEFINITIONS)


def figure(name, value=1.0, reason=""):
    return {"name": name, "label": name, "value": value, "reason": reason}


class TestGrouped:
    def test_has_every_metric_of_the_engine_once(self):
        grouped = [name for names in figures.GROUPS.values() for name in names]

        assert sorted(grouped) == sorted(DEFINITIONS)

    def test_gives_a_shared_reason_once(self):
        missing = [figure(name, None, "no") for name in ("sharpe", "omega")]

        (group,) = figures.grouped([*missing, figure("mar")])

        assert [one["name"] for one in group["figures"]] == ["mar"]
        assert group["missing"] == [{"reason": "no", "labels": ["sharpe", "omega"]}]

    def test_names_nothing_where_nothing_was_computed(self):
        (group,) = figures.grouped([figure(name, None, "no") for name in ("alpha", "beta")])

        assert group["figures"] == []
        assert group["missing"] == [{"reason": "no", "labels": []}]

    def test_shows_what_is_in_no_group_last(self):
        groups = figures.grouped([figure("novelty"), figure("cagr")])

        assert [group["title"] for group in groups] == ["Return and risk", "Others"]


LOADS = re.compile(r"""<(?:link|script|img|iframe|object|embed|source)\b[^>]*>""", re.IGNORECASE)


class TestRenderReport:
    def test_loads_nothing_from_anywhere(self, finished):
        html = selectors.render_report(finished)

        assert set(LOADS.findall(html)) <= {
            "<script>", '<script id="ct-series" type="application/json">',
        }  # fmt: skip
        assert "@import" not in html
        assert "url(" not in re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
        assert "default-src 'none'" in html
        assert html.count("<script>") == html.count("</script>") - 1

    def test_says_what_there_is_none_of(self, transactional_db, tiny, owner):
        from backtests import jobs

        run = queued(owner, strategy=NEVER)
        jobs.execute_run(run_id=run.public_id, worker="test")

        html = selectors.render_report(Run.objects.with_dataset().get())

        for sentence in ("Nothing was charged.", "never traded.", "No position was ever opened."):
            assert sentence in html
        assert 'id="ct-costs"' not in html

    def test_shows_between_what_the_bars_leave_it_open(self, finished):
        found = {"n_fills": 14, "pessimistic": 1_001_234.5, "optimistic": 1_023_456.7}
        finished.summary["ambiguity"] = found

        html = selectors.render_report(finished)

        assert "between <strong>1,001,234</strong> (pessimistic)" in html
        assert "<strong>1,023,457</strong> (optimistic), because 14 fills depend" in html

    def test_tells_how_to_compute_it_again(self, finished):
        html = selectors.render_report(finished)

        for digest in (finished.result_digest, finished.code_digest, finished.dataset.digest):
            assert digest in html

    def test_escapes_what_people_wrote(self, finished):
        finished.reason = "<script>alert(1)</script>"

        assert "<script>alert" not in selectors.render_report(finished)

    def test_is_the_same_every_time(self, finished):
        assert selectors.render_report(finished) == selectors.render_report(finished)

    def test_refuses_a_run_without_a_result(self, tiny, owner):
        with pytest.raises(Conflict, match="The run is failed; only a run that succeeded"):
            selectors.render_report(run_row(tiny, owner, RunStatus.FAILED))


class TestArtifacts:
    def test_are_listed_by_name(self, finished):
        names = [row["name"] for row in selectors.list_artifacts(finished)]

        assert names == sorted(finished.artifacts)

    def test_are_found_by_name(self, finished):
        digest = selectors.get_artifact(finished, "metrics.json")

        assert json.loads(storage.read(digest))["metrics"]

    def test_name_what_there_is_when_one_is_not(self, tiny, owner):
        with pytest.raises(NotFound, match="there are: none, it is queued"):
            selectors.get_artifact(run_row(tiny, owner), "curves.parquet")


class TestWindow:
    def test_is_whole_days(self):
        spec = RunSpec(dataset="d", strategy=STRATEGY, start=date(1970, 1, 2), end=date(1970, 1, 2))

        first, last = selectors.window(spec)

        assert (first, last) == (86_400 * SECOND_NS, 2 * 86_400 * SECOND_NS - 1)

    def test_is_open_without_dates(self):
        assert selectors.window(RunSpec(dataset="d", strategy=STRATEGY)) == (None, None)


class TestCheckMarket:
    def test_takes_dates_at_both_ends(self, tiny):
        first, last = tiny.first_at.date(), tiny.last_at.date()
        spec = RunSpec(dataset="tiny", strategy=STRATEGY, start=first, end=last)

        selectors.check_market(spec, STRATEGY, tiny)

    def test_takes_any_currency_when_the_data_state_none(self, owner):
        spec = RunSpec(dataset="d", strategy=STRATEGY, currency="CHF")

        selectors.check_market(spec, STRATEGY, dataset_row(owner))


class TestCountRunsByStatus:
    def test_has_every_status(self, tiny, owner):
        run_row(tiny, owner)
        run_row(tiny, owner)
        run_row(tiny, owner, RunStatus.FAILED)

        assert selectors.count_runs_by_status() == {
            "queued": 2, "running": 0, "succeeded": 0, "failed": 1, "cancelled": 0,
        }  # fmt: skip


def chunk(run, status, **columns) -> Chunk:
    plain = {"run": run, "first": 0, "n_trials": 1, "content": "c" * 64, "status": status}
    return Chunk.objects.create(**plain | columns)


class TestGetWait:
    """A queued run waits behind what workers are at; whether one is alive, its lease tells."""

    @pytest.fixture
    def run(self, owner):
        return run_row(dataset_row(owner), owner)

    @pytest.fixture
    def other(self, run, owner):
        """Another run in a state, its lease running out in so many seconds."""

        def row(status=RunStatus.RUNNING, *, seconds=20, **columns):
            columns |= {"lease_expires_at": timezone.now() + timedelta(seconds=seconds)}
            return run_row(run.dataset, owner, status, **columns)

        return row

    def test_is_for_a_worker_where_none_is_at_anything(self, run):
        assert selectors.get_wait(run).text == "Waiting for a worker"

    def test_is_behind_the_run_that_a_worker_is_at(self, run, other):
        other()

        wait = selectors.get_wait(run)

        assert (wait.n_before, wait.is_attended) == (1, True)
        assert wait.text == "Waiting behind 1 run"

    def test_counts_what_was_queued_before_and_not_what_came_later(self, run, other):
        other()
        other(RunStatus.QUEUED, queued_at=run.queued_at - timedelta(seconds=1))
        other(RunStatus.QUEUED, queued_at=run.queued_at + timedelta(seconds=1))
        other(RunStatus.SUCCEEDED)

        assert selectors.get_wait(run).text == "Waiting behind 2 runs"

    def test_does_not_take_a_lost_worker_for_one(self, run, other):
        other(seconds=-1)
        other(RunStatus.QUEUED, queued_at=run.queued_at - timedelta(seconds=1))

        assert selectors.get_wait(run).text == "Waiting for a worker, behind 1 run"

    @pytest.mark.parametrize(("seconds", "is_attended"), [(20, True), (-1, False)])
    def test_knows_that_a_study_is_at_work_by_its_chunks(self, run, other, seconds, is_attended):
        study = other(waits_for_chunks=True, seconds=-1)
        until = timezone.now() + timedelta(seconds=seconds)
        chunk(study, ChunkStatus.RUNNING, lease_expires_at=until)
        chunk(study, ChunkStatus.RUNNING, lease_expires_at=until, first=1)

        wait = selectors.get_wait(run)

        assert (wait.n_before, wait.is_attended) == (int(is_attended), is_attended)

    def test_does_not_take_a_wait_for_the_store_for_a_worker(self, run, other):
        other(store_away_since=AT)

        assert not selectors.get_wait(run).is_attended


class TestSpecText:
    def test_reads_back_to_the_same_spec(self, finished):
        from crowetrade_site.core import documents

        read = RunSpec.model_validate(documents.loads(selectors.spec_text(finished)))

        assert read.document() == finished.spec

    def test_keeps_a_null_that_says_something(self, tiny, owner):
        from crowetrade_site.core import documents

        run = queued(owner, account={"maintenance_margin": None, "max_leverage": None})

        text = selectors.spec_text(run)

        assert "benchmark" not in text
        assert RunSpec.model_validate(documents.loads(text)).account == AccountSpec(
            maintenance_margin=None, max_leverage=None
        )

    def test_shows_what_present_rules_would_refuse(self, tiny, owner):
        run = queued(owner)
        run.spec["costs"]["half_spread_bps"] = 10_000.0  # was allowed once

        assert "half_spread_bps: 10000.0" in selectors.spec_text(run)
