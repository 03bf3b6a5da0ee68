"""Out of sample comes first: on page and report, in lists, over REST, on the command line."""

import json
import re
from io import StringIO

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.core.management import call_command

from backtests import selectors
from backtests.lifecycle import RunStatus
from backtests.selectors.outside import get_outside
from backtests.validation import excess_report
from crowetrade_site.core import storage
from tests.factories.backtests import (
    SEARCH,
    STRATEGY,
    bars_dataset,
    dataset_row,
    queued,
    run_row,
    study,
    work_off,
)

SECTIONS = {
    "walk_forward": {"train_days": 40, "test_days": 20, "search": SEARCH},
    "cross_validation": {"n_groups": 4, "n_test_groups": 2, "search": SEARCH},
}


@pytest.fixture
def folded(transactional_db, owner, tmp_path):
    """Return a finished study with folds of a kind, with its benchmark if one is named."""

    def finish(kind, **more):
        dataset = bars_dataset(tmp_path, owner, n_days=120)
        return work_off(queued(owner, dataset.name, kind=kind, **{kind: SECTIONS[kind]} | more))

    return finish


def of_paths(owner, sharpe, total):
    """Return a cross-validation of which only the figures of its paths are known."""
    paths = [{"sharpe": s, "total_return": t} for s, t in zip(sharpe, total, strict=True)]
    kept = {"n_trials": 6, "walk": {"folds": [{}, {}, {}]}, "paths": paths}
    return run_row(
        dataset_row(owner), owner, RunStatus.SUCCEEDED, kind="cross_validation",
        spec={"kind": "cross_validation", "strategy": STRATEGY}, summary={"study": kept},
    )  # fmt: skip


class TestGetOutside:
    def test_of_a_walk_forward_is_its_stitched_account(self, folded):
        run = folded("walk_forward")

        shown = get_outside(run)

        metrics, walk = run.summary["metrics"], run.summary["study"]["walk"]
        assert shown.values == {
            **{name: metrics[name]["value"] for name in ("sharpe", "cagr", "max_drawdown")},
            "efficiency": walk["efficiency"],
            "n_folds": 4,
        }
        assert [figure["label"] for figure in shown.figures] == [
            "Sharpe ratio", "CAGR", "Max drawdown", "Walk-forward efficiency", "Folds",
        ]  # fmt: skip
        assert shown.how.endswith("chosen among 12 trials")

    def test_of_a_cross_validation_is_the_spread_of_its_paths(self, folded):
        run = folded("cross_validation")

        values = get_outside(run).values

        sharpe = [path["sharpe"] for path in run.summary["study"]["paths"]]
        lost = [path["total_return"] < 0 for path in run.summary["study"]["paths"]]
        assert values["sharpe_median"] == pytest.approx(np.median(sharpe))
        assert values["sharpe_5_percent"] == pytest.approx(np.quantile(sharpe, 0.05))
        assert values["sharpe_95_percent"] == pytest.approx(np.quantile(sharpe, 0.95))
        assert values["loss_share"] == pytest.approx(np.mean(lost))
        assert (values["n_paths"], values["n_folds"]) == (3, 6)

    def test_leaves_out_paths_without_a_figure(self, owner):
        shown = get_outside(of_paths(owner, [None, 0.5, -1.5, 1.0], [0.0, 0.1, -0.2, 0.3]))

        assert shown.values["sharpe_median"] == 0.5
        assert shown.values["loss_share"] == 0.25
        assert [figure["text"] for figure in shown.figures] == [
            "0.50", "-1.30 to 0.95", "25.00%", "4", "3",
        ]  # fmt: skip

    def test_has_dashes_where_no_path_has_a_figure(self, owner):
        shown = get_outside(of_paths(owner, [None], [None]))

        assert [figure["text"] for figure in shown.figures] == ["–", "–", "–", "1", "3"]
        assert "1 path through" in shown.how

    def test_is_none_of_a_sweep(self, transactional_db, owner, tmp_path):
        assert get_outside(study(owner, tmp_path)) is None

    def test_is_none_where_no_fold_chose(self, owner):
        run = of_paths(owner, [1.0], [0.1])
        del run.summary["study"]["walk"]

        assert get_outside(run) is None


class TestFirstScreen:
    @pytest.mark.parametrize("kind", SECTIONS)
    def test_says_out_of_sample_before_the_best_in_sample(self, folded, kind):
        run = folded(kind)

        html = selectors.render_report(run)

        outside, best = html.index("<strong>Out of sample</strong>"), html.index("In sample, best")
        assert outside < best < html.index("<h3>Folds")
        assert "In sample, best of 12 trials (3 infeasible)" in html
        assert "sharpe, in sample, best of 12 trials" in html
        before = re.findall("(.{11})best of 12 trials(?! without skill)", html)
        assert {words.lower() for words in before} == {"in sample, "}

    def test_does_not_speak_of_samples_in_a_sweep(self, transactional_db, owner, tmp_path):
        html = selectors.render_report(study(owner, tmp_path))

        assert "Out of sample" not in html
        assert "in sample, best" not in html.lower()

    def test_stands_on_the_command_line(self, folded, monkeypatch, tmp_path):
        from django.contrib.auth.models import Group

        Group.objects.get_or_create(name="admin")
        run = folded("walk_forward")
        monkeypatch.setattr("backtests.services.queue_run", lambda **_: run)
        (tmp_path / "spec.yaml").write_text("kind: walk_forward\n")
        said, answer = StringIO(), StringIO()

        call_command("run", str(tmp_path / "spec.yaml"), "--wait", stdout=said)
        call_command("run", str(tmp_path / "spec.yaml"), "--wait", "--json", stdout=answer)

        text = said.getvalue()
        assert text.index("Out of sample:") < text.index("In sample, best of 12 trials")
        assert "  Walk-forward efficiency" in text
        assert "  Against cash " in text
        found = json.loads(answer.getvalue())["study"]
        assert found["out_of_sample"] == get_outside(run).values
        assert found["claim"] == "in sample, best of 12 trials"


class TestGetHeadline:
    def test_of_a_walk_forward_is_out_of_sample(self, folded):
        text, claim = selectors.get_headline(folded("walk_forward"), "sharpe")

        assert claim == "out of sample, chosen among 12 trials"
        assert text != "–"

    def test_of_a_cross_validation_is_the_median_of_its_paths(self, folded):
        run = folded("cross_validation")

        text, claim = selectors.get_headline(run, "sharpe")

        assert text == f"{get_outside(run).values['sharpe_median']:.2f}"
        assert claim == "out of sample, median of 3 paths"

    def test_of_a_sweep_is_its_best(self, transactional_db, owner, tmp_path):
        run = study(owner, tmp_path)

        assert selectors.get_headline(run, "sharpe") == ("0.40", "best of 12 trials")

    def test_is_a_dash_before_there_is_one(self, owner):
        run = run_row(dataset_row(owner), owner)

        assert selectors.get_headline(run, "sharpe") == ("–", "")


class TestOverTheBenchmark:
    def curves(self, run):
        table = pq.read_table(storage.locate(run.artifacts["curves.parquet"]["digest"]))
        return (table[name].to_numpy() for name in ("equity", "benchmark"))

    def test_tests_the_account_out_of_sample_as_one_trial(self, folded):
        run = folded("walk_forward", benchmark="tiny/AAA")

        over = run.summary["study"]["excess"]["outside"]

        equity, levels = self.curves(run)
        own, other = equity[1:] / equity[:-1] - 1, levels[1:] / levels[:-1] - 1
        by_hand = excess_report(own, other, periods_per_year=252)["excess_sharpe"].value
        assert over["benchmark"]["figures"]["excess_sharpe"]["value"] == pytest.approx(by_hand)
        assert over["benchmark"]["n_trials"] == over["cash"]["n_trials"] == 1
        sharpe = run.summary["metrics"]["sharpe"]["value"]
        assert over["cash"]["figures"]["excess_sharpe"]["value"] == pytest.approx(sharpe, rel=0.05)

    def test_tests_the_best_among_all_trials(self, folded):
        run = folded("cross_validation", benchmark="tiny/AAA")

        best = run.summary["study"]["excess"]["best"]

        equity, levels = self.curves(run)
        own, other = equity[1:] / equity[:-1] - 1, levels[1:] / levels[:-1] - 1
        by_hand = excess_report(own, other, periods_per_year=252, n_trials=12)
        for name in ("excess_sharpe", "p_value", "adjusted_p_value"):
            assert best["figures"][name]["value"] == pytest.approx(by_hand[name].value)
        assert best["n_trials"] == 12

    def test_stands_beside_the_verdict_against_cash(self, transactional_db, owner, tmp_path):
        run = study(owner, tmp_path, benchmark="tiny/AAA")

        shown = selectors.get_study(run)
        html = selectors.render_report(run)

        assert "does not pass against cash" in shown.verdict
        assert shown.over_benchmark.text.startswith("Against tiny/AAA the best does not pass")
        assert "with all 12 trials counted" in shown.over_benchmark.text
        assert html.index(shown.verdict) < html.index("Against tiny/AAA the best")
        assert "Over tiny/AAA, bar by bar" in html
        labels = [row["label"] for row in shown.over_benchmark.rows]
        assert labels[0] == "Sharpe ratio of the excess return"
        assert shown.over_benchmark.rows[-1]["reason"].startswith(
            "not computed, because 59 returns"
        )

    def test_is_not_there_without_one(self, transactional_db, owner, tmp_path):
        run = study(owner, tmp_path)

        assert run.summary["study"]["excess"] == {"benchmark": None}
        assert selectors.get_study(run).over_benchmark is None

    def test_says_why_it_is_not_computed(self, transactional_db, owner, tmp_path):
        bars_dataset(tmp_path, owner, "short", n_days=40)
        run = study(owner, tmp_path, benchmark="short/AAA")

        over = selectors.get_study(run).over_benchmark

        assert over.is_accepted is None
        assert "nothing is decided: not computed, because the benchmark has no price" in over.text
        assert "has no value on" in selectors.get_study(run).benchmark_note


class TestOverRest:
    @pytest.mark.parametrize("kind", SECTIONS)
    def test_has_what_the_page_has(self, folded, client, kind):
        run = folded(kind)
        client.force_login(run.requested_by)

        shown = client.get(f"/api/v1/runs/{run.public_id}/").json()

        assert shown["kind"] == kind
        assert shown["study"]["out_of_sample"] == pytest.approx(get_outside(run).values)
        assert shown["study"]["claim"] == "in sample, best of 12 trials"

    def test_is_null_of_a_sweep(self, transactional_db, owner, tmp_path, client):
        client.force_login(owner)

        shown = client.get(f"/api/v1/runs/{study(owner, tmp_path).public_id}/").json()

        assert shown["study"]["out_of_sample"] is None
