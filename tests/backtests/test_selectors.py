"""What people see of runs and datasets."""

import json
import re
from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from backtests import selectors
from backtests.lifecycle import RunStatus
from backtests.models import Run
from backtests.runspec import RunSpec
from backtests.selectors import tearsheet
from crowetrade_site.core import storage
from crowetrade_site.core.errors import Conflict, NotFound
from tests.factories.backtests import STRATEGY, dataset_row, queued, run_row

SECOND_NS = 1_000_000_000


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
            "half_spread": np.zeros(4),
        }

        charts = tearsheet._charts(curves)

        assert [value for _, value in charts["exposure"]] == [1.0, 2.0]
        assert [value for _, value in charts["drawdown"]] == [0.0, -0.5, -1.0, -1.2]
        json.dumps(charts, allow_nan=False)


class TestGetTearsheet:
    def test_shows_figures_costs_and_charts(self, finished):
        sheet = selectors.get_tearsheet(finished)

        assert [figure["name"] for figure in sheet.headlines] == list(tearsheet.HEADLINES)
        assert sheet.costs[-1]["kind"] == "total"
        assert len(sheet.charts["equity"]) == 56  # from the first decision on
        assert [row["year"] for row in sheet.months] == [2024]
        assert sheet.fills[0]["symbol"] in {"AAA", "BBB", "CCC"}
        assert sheet.fills[0]["ts"] >= sheet.fills[-1]["ts"]

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
            ("sharpe", 1.005, "ratio", "1.00"),
            ("turnover", 3.21, "per year", "3.2× a year"),
            ("final", 1234567.8, "currency", "1,234,568"),
            ("cost", 1.5, "bps", "1.50 bps"),
            ("sharpe", None, "ratio", "–"),
        ],
    )
    def test_writes_as_people_do(self, name, value, unit, text):
        assert tearsheet.write_figure(name, {"value": value, "unit": unit}) == text


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


class TestSpecText:
    def test_reads_back_to_the_same_spec(self, finished):
        from crowetrade_site.core import documents

        read = RunSpec.model_validate(documents.loads(selectors.spec_text(finished)))

        assert read.model_dump(mode="json") == finished.spec
