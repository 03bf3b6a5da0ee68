"""What people see of compared strategies, and of a sweep's leaders judged by the bootstrap."""

import json
from io import StringIO

import pytest
from django.utils import timezone

from backtests import selectors, services
from backtests.lifecycle import RunStatus
from backtests.management.commands.run import Command
from backtests.models import Run
from crowetrade_site.core.errors import InvalidInput
from tests.factories.backtests import STRATEGY, bars_dataset, queued, study, swept, work_off


def conclude(run: Run, *, as_json: bool = False) -> str:
    """Return what `manage.py run --wait` prints at the end."""
    command = Command(stdout=StringIO())
    command.as_json = as_json
    command.conclude(run)
    return command.stdout.getvalue()


@pytest.fixture
def finished_study(transactional_db, owner, tmp_path):
    return study(owner, tmp_path)


class TestCompared:
    def test_stand_side_by_side_under_their_labels(self, transactional_db, owner, tmp_path):
        slower = {**STRATEGY, "signals": [{**STRATEGY["signals"][0], "slow_bars": 8}]}
        section = {"strategies": {"quick": STRATEGY, "slow": slower, "hold": "buy_and_hold"}}
        dataset = bars_dataset(tmp_path, owner, n_days=120)

        run = work_off(queued(owner, dataset.name, kind="comparison", comparison=section))

        assert run.status == RunStatus.SUCCEEDED, run.problem
        shown = selectors.get_study(run)
        assert {one["name"] for one in shown.comparison.strategies} == {"quick", "slow", "hold"}
        best = max(shown.comparison.strategies, key=lambda one: float(one["figures"][3]["exact"]))
        assert shown.best["lines"] == [f"strategy = {best['name']}"]
        assert shown.leaders[0]["cells"] == [best["name"]]
        assert "Side by side" in selectors.render_report(run)

    @pytest.fixture
    def compared(self, transactional_db, owner, tmp_path):
        """Return what compares three strategies, with or without a benchmark."""
        slower = {**STRATEGY, "signals": [{**STRATEGY["signals"][0], "slow_bars": 8}]}
        section = {"strategies": {"quick": STRATEGY, "slow": slower, "hold": "buy_and_hold"}}
        dataset = bars_dataset(tmp_path, owner, n_days=260)

        def compare(**more) -> Run:
            asked = section | more
            return work_off(queued(owner, dataset.name, kind="comparison", comparison=asked))

        return compare

    def test_are_held_against_the_benchmark(self, compared):
        run = compared(benchmark="hold")

        shown = selectors.get_study(run).comparison

        assert shown.reference_text == "hold, the benchmark"
        assert "Holm: adjusted for the number of strategies" in shown.how
        rows = {row["name"]: row for row in shown.against}
        assert set(rows) == {"quick", "slow"}
        kept = run.summary["study"]["comparison"]
        quick, hold = (kept["names"].index(name) for name in ("quick", "hold"))
        apart = kept["sharpe_differences"]["estimate"][quick][hold]
        assert rows["quick"]["sharpe"] == f"{apart * kept['periods_per_year'] ** 0.5:.2f}"
        assert {row["label"]: bool(row["text"]) for row in shown.tests} == {
            "Superior predictive ability": True, "StepM": True, "Model confidence set": True,
            "Pareto front": True,
        }  # fmt: skip
        assert len({row["name"] for row in shown.pairs}) == 3
        assert [matrix["title"] for matrix in shown.matrices] == [
            "Correlation of returns", "Overlap of positions",
        ]  # fmt: skip
        assert shown.matrices[0]["rows"][0]["cells"][0]["text"] == "1.00"
        assert len(shown.ranks) == len(shown.n_ranks) == 3
        html = selectors.render_report(run)
        for words in ("How sure the order is", "Model confidence set", "resamples of whole bars"):
            assert words in html

    def test_say_what_was_not_computed_and_why(self, compared):
        run = compared()

        shown = selectors.get_study(run).comparison

        assert "no benchmark is named" in shown.reference_text
        assert "Holm: adjusted for all pairs" in shown.how
        reasons = {row["label"]: row["reason"] for row in shown.tests}
        because = "not computed, because no benchmark is named among the strategies"
        assert reasons["Superior predictive ability"] == reasons["StepM"] == because
        assert because.capitalize() in selectors.render_report(run)

    def test_show_their_figures_where_nothing_else_is_known(self, compared):
        run = compared()
        kept = run.summary["study"]["comparison"]
        run.summary["study"]["comparison"] = {
            name: kept[name] for name in ("names", "figures", "front", "overlap")
        } | {"reason": "not computed, because the returns of hold never vary"}

        shown = selectors.get_study(run).comparison

        assert (shown.tests, shown.against, shown.ranks) == ([], [], [])
        assert len(shown.strategies) == 3
        assert "the returns of hold never vary" in selectors.render_report(run)

    def test_are_a_table_on_the_command_line(self, compared):
        run = compared(benchmark="hold")

        lines = conclude(run).splitlines()

        head = next(at for at, line in enumerate(lines) if line.endswith("rank 1"))
        table = lines[head : head + 4]
        assert len({len(line) for line in table}) == 1, "aligned"
        assert {line.split()[0] for line in table[1:]} == {"quick", "slow", "hold"}
        kept = run.summary["study"]["comparison"]
        for name, row in zip(kept["names"], kept["figures"], strict=True):
            line = next(line for line in table if line.split()[0] == name)
            assert line.split()[1] == f"{row['sharpe']:.2f}"
            assert f"{row['max_drawdown']:.2%}" in line
        assert "  Against hold, the benchmark:" in lines
        pairs = [line for line in lines if line.endswith("told apart")]
        named = [line.split("  ")[1] for line in pairs]
        assert set(named[:2]) == {"quick less hold", "slow less hold"}
        assert set(named[2].split(" less ")) == {"quick", "slow"}
        assert len(named) == 3
        shown = selectors.get_study(run).comparison
        assert shown.against[0]["holm"] in pairs[0]
        assert any(line.startswith("  StepM: ") for line in lines)

    def test_are_all_in_the_json_of_the_command_line(self, compared):
        run = compared()

        answer = json.loads(conclude(run, as_json=True))

        assert answer["study"]["comparison"] == run.summary["study"]["comparison"]

    def test_are_a_table_where_nothing_but_figures_is_known(self, compared):
        run = compared()
        kept = run.summary["study"]["comparison"]
        run.summary["study"]["comparison"] = {
            name: kept[name] for name in ("names", "figures", "front", "overlap")
        } | {"reason": "not computed, because the returns of hold never vary"}

        lines = selectors.write_standings(selectors.get_study(run).comparison)

        assert len(lines) == 5
        assert lines[0].split("  ")[-1] == "max drawdown"
        assert lines[-1] == "Not computed, because the returns of hold never vary"

    def test_are_not_the_same_twice(self, compared):
        twice = {"quick": STRATEGY, "again": {**STRATEGY}}

        with pytest.raises(InvalidInput, match="'quick' and 'again' are the same strategy"):
            compared(strategies=twice)


class TestLeading:
    def test_says_what_it_is_and_of_which_trials(self, transactional_db, owner, tmp_path):
        dataset = bars_dataset(tmp_path, owner, n_days=300)
        run = work_off(swept(owner, dataset.name))
        more = work_off(swept(owner, dataset.name, capital=5e5))

        whole, part = (selectors.get_study(one).leading for one in (run, more))

        kept = run.summary["study"]["leading"]
        best = run.summary["study"]["leaders"][0]["number"]
        assert kept["numbers"][0] == best
        assert kept["n_leaders"] < kept["n_trials"] == 12  # three were refused, and count
        assert whole.rows[0]["text"] == f"{kept['spa_p_value']['value']:.3g}"
        assert "of this study's 12 that lead" in part.note
        assert "24 trials were ever made on this data" in part.note
        assert "no bound" in part.note
        assert "at most" not in part.rows[1]["text"]
        assert "The leaders by the bootstrap" in selectors.render_report(more)

    def test_says_why_there_is_none(self, finished_study):
        shown = selectors.get_study(finished_study).leading

        assert shown.rows[0]["text"] == "–"
        assert "are fewer than the 250 that the bootstrap needs" in shown.rows[0]["reason"]

    def test_does_not_change_the_digest_of_the_result(self, finished_study, owner):
        """It knows how many trials others made; the result must not."""
        work_off(swept(owner, capital=5e5))
        again = services.reproduce_run(
            run_id=finished_study.public_id, actor=owner, at=timezone.now()
        )

        assert work_off(again).result_digest == finished_study.result_digest
