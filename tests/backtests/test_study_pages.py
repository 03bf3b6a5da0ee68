"""What people see of studies, from the first chunk to the report."""

import json
import re
from html.parser import HTMLParser

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backtests import jobs, selectors, services
from backtests.lifecycle import ChunkStatus, RunStatus
from backtests.management.commands import run as running
from backtests.models import Chunk, Run
from backtests.runspec import RunSpec
from backtests.selectors import leaders, progress, selection
from crowetrade_site.core import documents
from crowetrade_site.core.errors import Conflict
from tests.factories.backtests import (
    AT,
    SEARCH,
    bars_dataset,
    dataset_row,
    queued,
    run_row,
    study,
    swept,
    work_off,
)

HOPELESS = SEARCH | {"constraints": ["sharpe > 1000"]}
PROBLEM = {"title": "It fell", "detail": "The worker was lost three times."}


def chunk_row(run, first=0, status=ChunkStatus.DONE, **columns) -> Chunk:
    lasting = {
        ChunkStatus.DONE: {"artifact": "f" * 64, "seconds": 2.0},
        ChunkStatus.RUNNING: {"lease_expires_at": AT},
        ChunkStatus.QUARANTINED: {"problem": PROBLEM, "attempt": 3},
    }.get(status, {})
    plain = {"run": run, "first": first, "n_trials": 10, "content": f"{first:064x}"}
    return Chunk.objects.create(**plain | {"status": status} | lasting | columns)


def sweep_row(owner, status=RunStatus.RUNNING, **columns) -> Run:
    dataset = dataset_row(owner)
    run = run_row(dataset, owner, status, kind="sweep", **columns)
    run.spec |= {"kind": "sweep", "search": SEARCH}
    run.save()
    return Run.objects.with_dataset().get(pk=run.pk)


def found(value, **parameters) -> dict:
    best = None if value is None else {"value": value, "parameters": json.dumps(parameters)}
    return {"n_infeasible": 0, "best": best}


def lose(run) -> Run:
    """Give up the first chunk of a queued sweep and compute the rest."""
    jobs.execute_run(run_id=run.public_id, worker="test")
    lost = Chunk.objects.order_by("first").first()
    chunks = Chunk.objects.filter(pk=lost.pk)
    chunks.update(status=ChunkStatus.QUARANTINED, attempt=3, worker="w", problem=PROBLEM)
    for chunk in run.chunks.exclude(pk=lost.pk).order_by("first"):
        jobs.execute_chunk(chunk_id=chunk.pk, worker="test")
    return work_off(run)


def split(owner, folder, kind, **section) -> Run:
    """Return a finished study with folds."""
    dataset = bars_dataset(folder, owner, n_days=120)
    return work_off(queued(owner, dataset.name, kind=kind, **{kind: section | {"search": SEARCH}}))


@pytest.fixture
def finished_study(transactional_db, owner, tmp_path):
    return study(owner, tmp_path)


@pytest.fixture
def in_small_chunks(monkeypatch):
    from backtests.jobs import evaluation

    monkeypatch.setattr(evaluation, "MOST_TRIALS", 4)


class Outline(HTMLParser):
    """What a page opens, and whether it closes it."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in {"meta", "link", "input", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


class TestGetStudy:
    def test_is_none_for_a_backtest(self, owner):
        assert selectors.get_study(run_row(dataset_row(owner), owner)) is None

    def test_says_how_many_the_best_is_the_best_of(self, finished_study):
        shown = selectors.get_study(finished_study)

        assert shown.headline == "Best of 12 trials (3 infeasible)"
        assert shown.claim == "best of 12 trials"
        assert shown.ledger == ("12 trials were ever made on this data, 12 of this strategy family")
        assert shown.objectives == ["sharpe, the higher the better"]

    def test_counts_what_was_tried_before(self, finished_study, owner):
        again = work_off(swept(owner, search=SEARCH | {"objective": "cagr"}))
        more = work_off(swept(owner, capital=5e5))

        assert selectors.get_study(again).ledger.startswith("12 trials were ever made")
        assert selectors.get_study(more).ledger.startswith("24 trials were ever made")

    def test_shows_the_leaders_with_their_parameters(self, finished_study):
        shown = selectors.get_study(finished_study)

        kept = finished_study.summary["study"]["leaders"]
        assert [column["name"] for column in shown.columns] == ["fast_bars", "slow_bars"]
        assert [leader["number"] for leader in shown.leaders] == [one["number"] for one in kept]
        assert shown.leaders[0]["cells"] == [
            str(kept[0]["parameters"][column["path"]]) for column in shown.columns
        ]
        assert shown.best["value"] == kept[0]["values"][0]
        metric = finished_study.summary["metrics"]["sharpe"]
        assert metric["value"] == pytest.approx(shown.best["value"])
        assert shown.best["text"] == selectors.write_figure("sharpe", metric)

    def test_gives_the_spec_that_runs_the_best_alone(self, finished_study, owner):
        shown = selectors.get_study(finished_study)

        alone = services.queue_run(
            document=documents.loads(shown.best_spec), actor=owner, at=timezone.now()
        )
        alone = work_off(alone)

        assert alone.kind == "backtest"
        assert alone.summary["metrics"]["sharpe"]["value"] == pytest.approx(shown.best["value"])
        assert RunSpec.model_validate(alone.spec).search is None

    def test_says_why_trials_are_infeasible_and_how_many_more(self, owner):
        kept = {
            "n_trials": 12, "n_infeasible": 9, "leaders": [],
            "reasons": [{"reason": "too fast", "n_trials": 7}],
        }  # fmt: skip
        run = sweep_row(owner, RunStatus.SUCCEEDED, summary={"study": kept})

        rows = selectors.get_study(run).reasons

        assert [(row["reason"], row["text"]) for row in rows] == [
            ("too fast", "7"), ("Other reasons", "2"),
        ]  # fmt: skip

    def test_makes_no_best_where_nothing_is_feasible(self, transactional_db, owner, tmp_path):
        run = study(owner, tmp_path, search=HOPELESS)

        shown = selectors.get_study(run)
        assert shown.headline == "None of 12 trials is feasible"
        assert (shown.claim, shown.best, shown.best_spec) == ("", None, "")
        assert selectors.get_tearsheet(run) is None
        html = selectors.render_report(run)
        assert "None of 12 trials is feasible" in html
        assert "It breaks sharpe &gt; 1000." in html

    def test_lists_the_chunks_given_up(self, transactional_db, owner, tmp_path, in_small_chunks):
        run = lose(swept(owner, bars_dataset(tmp_path, owner).name))

        shown = selectors.get_study(run)

        assert run.status == RunStatus.FAILED
        assert shown.n_given_up == 1
        assert shown.given_up[0] | {"worker": "w"} == {
            "trials": "trials 0 to 3", "attempt": 3, "worker": "w", **PROBLEM,
        }  # fmt: skip
        assert shown.claim == "best of 8 trials"
        assert selectors.get_tearsheet(run).claim == "best of 8 trials"
        html = selectors.render_report(run)
        assert "Trials 0 to 3" in html
        assert PROBLEM["detail"] in html
        assert "A part of the study could not be computed" in html

    def test_takes_few_queries_whatever_there_is(self, finished_study):
        Run.objects.filter(pk=finished_study.pk).update(status=RunStatus.SUCCEEDED)

        with CaptureQueriesContext(connection) as queries:
            selectors.get_study(finished_study)

        assert len(queries) == 1

    def test_reads_no_trials(self, finished_study, monkeypatch):
        monkeypatch.setattr("crowetrade_site.core.storage.locate", None)

        assert selectors.get_study(finished_study).leaders

    def test_survives_a_summary_without_what_came_later(self, owner):
        kept = {"n_trials": 3, "n_infeasible": 0, "leaders": []}
        run = sweep_row(owner, RunStatus.SUCCEEDED, summary={"study": kept})

        shown = selectors.get_study(run)

        assert (shown.surface, shown.distribution, shown.statistics) == (None, None, [])

    def test_tolerates_a_kind_nobody_foresaw(self, owner):
        run = sweep_row(owner, RunStatus.SUCCEEDED, summary={"study": {"folds": [1, 2]}})
        run.kind = "walk_forward"
        run.spec["walk_forward"] = {"search": run.spec.pop("search")}

        shown = selectors.get_study(run)

        assert (shown.headline, shown.claim, shown.leaders) == ("", "", [])
        assert shown.objectives == ["sharpe, the higher the better"]
        assert selectors.describe_run(run).startswith("walk-forward of moving average cross")

    def test_puts_many_parameters_into_one_column(self, owner):
        parameters = {f"signals.0.weight_{at}": at for at in range(9)}
        leader = {"number": 0, "values": [1.5], "parameters": parameters}
        kept = {"n_trials": 3, "n_infeasible": 0, "leaders": [leader]}
        run = sweep_row(owner, RunStatus.SUCCEEDED, summary={"study": kept})

        shown = selectors.get_study(run)

        assert shown.columns == []
        assert shown.leaders[0]["lines"][:2] == [
            "signals.0.weight_0 = 0", "signals.0.weight_1 = 1",
        ]  # fmt: skip
        assert shown.best_spec == ""  # its paths are not in the spec

    def test_tells_paths_apart_that_end_alike(self):
        leader = {"parameters": {"a.bars": 1, "b.bars": 2, "c.days": None}}

        names = [column["name"] for column in leaders.columns_of([leader])]

        assert names == ["a.bars", "b.bars", "days"]

    @pytest.mark.parametrize(
        ("stated", "goals"),
        [
            ("cagr", [("cagr", True)]),
            ({"minimize": "ulcer_index"}, [("ulcer_index", False)]),
            (["sharpe", {"minimize": "turnover"}], [("sharpe", True), ("turnover", False)]),
        ],
    )
    def test_knows_the_objectives_of_any_spec(self, owner, stated, goals):
        run = sweep_row(owner)
        run.spec["search"] = SEARCH | {"objective": stated}

        assert leaders.objectives_of(run) == goals


class TestFolds:
    def test_say_what_each_chose_and_how_it_did_outside(self, transactional_db, owner, tmp_path):
        run = split(owner, tmp_path, "walk_forward", train_days=40, test_days=20)

        shown = selectors.get_study(run)

        assert run.status == RunStatus.SUCCEEDED, run.problem
        kept = run.summary["study"]["walk"]["folds"]
        assert len(shown.walk.folds) == len(kept) == 4
        assert shown.walk.folds[0]["lines"] == [
            f"{name} = {value}" for name, value in kept[0]["parameters"].items()
        ]
        rank = f"better than {kept[0]['rank'] * 100:.0f} % of the trials"
        assert shown.walk.folds[0]["rank_text"] == rank
        assert "folds chose" in shown.walk.summary
        assert shown.walk.timeline.title.startswith("Folds from 2")
        assert shown.walk.degradation.marks.count("ct-train") >= 4
        claim = "out of sample, chosen among 12 trials"
        assert (shown.sheet_claim, shown.claim) == (claim, "in sample, best of 12 trials")
        assert selectors.get_tearsheet(run).claim == claim
        html = selectors.render_report(run)
        assert "Account of the choices of all folds" in html
        assert html.count(claim) > 8
        assert selectors.describe_run(run).startswith("walk-forward of moving average cross on")

    def test_show_the_paths_of_a_cross_validation(self, transactional_db, owner, tmp_path):
        run = split(owner, tmp_path, "cross_validation", n_groups=4, n_test_groups=2)

        shown = selectors.get_study(run)

        assert run.status == RunStatus.SUCCEEDED, run.problem
        assert len(shown.paths.rows) == len(run.summary["study"]["paths"]) == 3
        assert [figure["label"] for figure in shown.paths.rows[0]["figures"]][:2] == [
            "Total return", "CAGR",
        ]  # fmt: skip
        assert shown.sheet_claim == "in sample, best of 12 trials"
        assert "in sample" in shown.paths.drawing.marks
        assert "Paths out of sample" in selectors.render_report(run)

    def test_say_that_each_searched_by_itself(self, transactional_db, owner, tmp_path):
        dataset = bars_dataset(tmp_path, owner, n_days=120)
        over = {"signals.0.slow_bars": {"low": 5, "high": 30, "step": 1}}
        searched = {"kind": "tpe", "n_trials": 6, "generation": 3, "startup": 3, "over": over}
        section = {"train_days": 40, "test_days": 20, "purge_days": 3, "search": searched}
        run = work_off(queued(owner, dataset.name, kind="walk_forward", walk_forward=section))

        shown = selectors.get_study(run)

        assert "Each fold searched by itself, at most 6 trials" in shown.walk.summary
        assert shown.walk.choices.marks.count("<circle") == 4
        assert "ct-purge" in shown.walk.timeline.marks
        assert shown.sheet_claim == "out of sample, chosen among 24 trials"

    def test_are_none_of_a_sweep(self, finished_study):
        shown = selectors.get_study(finished_study)

        assert (shown.walk, shown.paths, shown.comparison) == (None, None, None)


class TestReproduction:
    def test_of_a_study_is_a_study(self, finished_study, owner):
        again = services.reproduce_run(
            run_id=finished_study.public_id, actor=owner, at=timezone.now()
        )
        again = work_off(again)

        assert again.status == RunStatus.SUCCEEDED, again.problem
        assert selectors.get_study(again).claim == "best of 12 trials"
        assert selectors.describe_run(again) == (
            "reproduction of sweep of moving average cross on tiny, 12 trials"
        )

    def test_of_a_backtest_is_none(self, finished):
        again = services.reproduce_run(
            run_id=finished.public_id, actor=finished.requested_by, at=timezone.now()
        )

        assert selectors.get_study(again) is None
        assert selectors.describe_run(again) == "reproduction of moving average cross on tiny"


class TestGetProgress:
    def test_counts_trials_and_chunks(self, owner):
        run = sweep_row(owner, progress_total=60)
        chunk_row(run, 0)
        chunk_row(run, 10, is_reused=True, seconds=None)
        chunk_row(run, 20, ChunkStatus.RUNNING)
        chunk_row(run, 30, ChunkStatus.QUARANTINED)
        chunk_row(run, 40, ChunkStatus.QUEUED)

        with CaptureQueriesContext(connection) as queries:
            counted = selectors.get_progress(run)

        assert len(queries) == 1
        assert (counted.n_done, counted.n_total, counted.n_reused) == (20, 60, 10)
        assert counted.percent == 33
        assert counted.busy_seconds == 2.0
        assert counted.chunks_text == "5 chunks: 1 queued, 1 running, 2 done, 1 given up"
        assert counted.trials_text == "20 of 60 trials"

    def test_tells_pace_and_time_left(self, owner, monkeypatch):
        run = sweep_row(owner, progress_total=40)
        chunk_row(run, 0, published_at=AT)
        chunk_row(run, 10, ChunkStatus.QUEUED)
        monkeypatch.setattr(progress.timezone, "now", lambda: AT + progress.timedelta(seconds=4))

        counted = selectors.get_progress(run)

        assert counted.rate == 2.5
        assert counted.eta_seconds == 12.0
        assert counted.pace_text == "2.5 trials a second, 12 seconds left"

    def test_tells_neither_before_the_first_chunk(self, owner):
        counted = selectors.get_progress(sweep_row(owner, RunStatus.QUEUED))

        assert (counted.rate, counted.eta_seconds, counted.percent) == (None, None, 0)
        assert counted.pace_text == ""

    def test_leaves_out_of_the_pace_what_was_taken_over(self, finished_study, owner):
        again = work_off(swept(owner))

        counted = selectors.get_progress(again)

        assert (counted.n_done, counted.n_reused, counted.rate) == (12, 12, None)
        assert "12 of them taken over" in selectors.get_study(again).effort

    def test_does_not_take_bars_for_trials(self, owner):
        run = sweep_row(owner, phase="simulating", progress_done=3000, progress_total=8000)
        chunk_row(run)

        assert selectors.unit_of_progress(run) == "bars"
        assert selectors.get_progress(run).n_total == 10
        run.phase = "running the best"
        assert selectors.unit_of_progress(run) == "folds"

    def test_has_everything_done_at_the_end(self, finished_study):
        counted = selectors.get_progress(finished_study)

        assert (counted.n_done, counted.n_total, counted.percent) == (12, 12, 100)
        assert counted.eta_seconds is None


class TestBestSoFar:
    @pytest.mark.parametrize(("is_maximized", "value"), [(True, 10.5), (False, -0.5)])
    def test_is_the_best_of_the_chunks_that_are_done(self, owner, is_maximized, value):
        run = sweep_row(owner)
        for at, number in enumerate([2.0, 10.5, None, -0.5]):
            chunk_row(run, 10 * at, summary=found(number, fast=at))
        chunk_row(run, 90, ChunkStatus.QUEUED)

        assert progress.best_so_far(run, is_maximized=is_maximized)["value"] == value

    def test_is_shown_while_the_study_runs(self, owner):
        run = sweep_row(owner)
        chunk_row(run, summary=found(0.75, fast=3))

        with CaptureQueriesContext(connection) as queries:
            shown = selectors.get_study(run)

        assert len(queries) == 2
        assert (shown.best["text"], shown.best["lines"]) == ("0.75", ["fast = 3"])
        assert shown.shown_claim == "best of 10 trials so far"

    def test_has_its_unit_before_there_are_metrics(self, owner, finished_study):
        kept = finished_study.chunks.first().summary["best"]
        run = sweep_row(owner)
        best = {"value": 0.1234, "unit": "fraction", "parameters": kept["parameters"]}
        chunk_row(run, summary={"n_infeasible": 0, "best": best})

        assert kept["unit"] == "ratio"
        assert selectors.get_study(run).best["text"] == "12.34%"

    def test_is_none_before_the_first(self, owner):
        assert selectors.get_study(sweep_row(owner)).best is None


SELECTION = {
    "deflated_sharpe": {"value": 0.31, "unit": "probability", "reason": "", "definition": ""},
    "holm_p_value": {"value": 0.0421, "unit": "probability", "reason": ""},
    "n_effective": {"value": 14.2, "unit": "trials", "definition": "As many as."},
    "expected_maximum": {"value": 0.6, "unit": "ratio per year"},
    "pbo": {"value": None, "unit": "probability", "reason": "not computed, because of this"},
}


class TestListStatistics:
    def test_has_label_value_and_meaning(self):
        rows = {row["name"]: row for row in selection.list_statistics(SELECTION)}

        assert rows["deflated_sharpe"]["label"] == "Deflated Sharpe ratio"
        texts = [rows[name]["text"] for name in SELECTION]
        assert texts == ["31.00%", "0.0421", "14.2", "0.60", "–"]
        assert rows["pbo"]["reason"] == "not computed, because of this"
        assert rows["n_effective"]["meaning"] == "As many as."
        assert all(row["meaning"] for row in rows.values())

    def test_is_in_the_order_of_the_page_whatever_the_database_made_of_it(self):
        kept = {"other": {"value": 1.0}, "pbo": {"value": 0.1}, "best_sharpe": {"value": 2.0}}

        names = [row["name"] for row in selection.list_statistics(kept)]

        assert names == ["best_sharpe", "pbo", "other"]

    def test_takes_a_whole_report(self):
        report = {"figures": SELECTION, "is_accepted": False, "n_trials": 12}

        assert selection.list_statistics(report) == selection.list_statistics(SELECTION)
        assert "does not pass" in selection.verdict_of(report)

    def test_shows_a_figure_nobody_foresaw(self):
        rows = selection.list_statistics({"luck_left": {"value": 1.0}, "best": 3})

        assert [(row["label"], row["text"]) for row in rows] == [("Luck left", "1.00")]

    def test_says_nothing_without_them(self):
        assert selection.list_statistics({}) == []
        assert selection.verdict_of({}) == ""

    def test_stand_on_the_report(self, finished_study):
        finished_study.summary["study"]["selection"] = {"figures": SELECTION, "is_accepted": True}

        html = selectors.render_report(finished_study)

        assert "Deflated Sharpe ratio" in html
        assert "The best passes" in html
        assert "Not computed, because of this" in html
        assert "by luck 0.60" in html


class TestDoubtOf:
    @pytest.mark.parametrize(
        ("pbo", "slope", "told"),
        [
            (0.61, -1.01, ["overfitting is 61.00%, above 50%", "in sample is -1.01"]),
            (0.61, 0.4, ["overfitting is 61.00%, above 50%"]),
            (0.2, -0.3, ["in sample is -0.30"]),
        ],
    )
    def test_names_each_figure_that_speaks_against_the_choice(self, pbo, slope, told):
        figures = {"pbo": {"value": pbo}, "performance_degradation": {"value": slope}}

        said = selection.doubt_of({"figures": figures, "is_accepted": True})

        assert said.startswith("The choice of the best does not carry over: ")
        assert all(part in said for part in told)
        assert said.count(";") == len(told) - 1

    @pytest.mark.parametrize("figures", [{}, {"pbo": {"value": None}}, {"pbo": {"value": 0.5}}])
    def test_is_none_where_nothing_does(self, figures):
        assert selection.doubt_of(figures) == ""

    def test_stands_beside_the_verdict(self, finished_study, capsys):
        figures = {"pbo": {"value": 0.61}, "performance_degradation": {"value": -1.01}}
        finished_study.summary["study"]["selection"] = {"figures": figures, "is_accepted": True}

        html = selectors.render_report(finished_study)
        command = running.Command()
        command.as_json = False
        command.tell(selectors.get_study(finished_study))

        verdict = html.index('<li class="ct-passed">The best passes')
        assert html.index('<li class="ct-doubted">The choice of the best does not') > verdict
        assert "The choice of the best does not carry over" in capsys.readouterr().out


class TestDescribeRun:
    def test_names_kind_strategy_data_and_trials(self, finished_study):
        name = "sweep of moving average cross on tiny, 12 trials"

        assert selectors.describe_run(finished_study) == name

    @pytest.mark.parametrize("kind", ["walk_forward", "cross_validation"])
    def test_writes_kinds_as_people_do(self, owner, kind):
        run = sweep_row(owner)
        run.kind, run.spec = kind, run.spec | {"kind": kind, kind: {"search": SEARCH}}

        words = kind.replace("_", "-")
        assert selectors.describe_run(run).startswith(f"{words} of moving average cross")
        assert str(run).startswith(f"{words} ")
        assert run.get_kind_display() == words

    def test_knows_the_trials_once_they_are_planned(self, owner):
        run = sweep_row(owner, progress_total=4186)
        run.dataset.name = "sp500"

        name = "sweep of moving average cross on sp500"
        assert selectors.describe_run(run) == f"{name}, 4,186 trials"
        run.progress_total = 0
        assert selectors.describe_run(run) == name


class TestReport:
    def test_says_beside_every_headline_that_it_is_the_best_of_many(self, finished_study):
        html = selectors.render_report(finished_study)

        cards = re.findall(r'<div class="ct-card">.*?</div>', html)
        assert len(cards) == 7
        assert all("best of 12 trials" in card for card in cards[:-1])
        assert html.count("Best of 12 trials (3 infeasible)") == 1

    def test_is_well_formed_with_every_id_once(self, finished_study):
        outline = Outline()
        outline.feed(selectors.render_report(finished_study))

        assert outline.open == []
        assert len(outline.ids) == len(set(outline.ids))

    def test_describes_its_drawings_for_who_cannot_see_them(self, finished_study):
        html = selectors.render_report(finished_study)

        drawn = re.findall(r'<svg class="ct-drawing".*?</svg>', html, re.DOTALL)
        assert len(drawn) == 2
        for svg in drawn:
            assert 'role="img"' in svg
            for name in re.search(r'aria-labelledby="([^"]+)"', svg)[1].split():
                assert f'id="{name}"' in svg

    def test_loads_nothing_from_anywhere(self, finished_study):
        html = selectors.render_report(finished_study)

        assert not re.search(r'(?:src|href)="(?!https://www\.tradingview\.com/")', html)
        assert all(place.startswith("#") for place in re.findall(r'="url\(([^)]*)\)', html))

    def test_says_nothing_of_many_for_a_backtest(self, finished):
        html = selectors.render_report(finished)

        assert "best of" not in html
        assert 'id="ct-study"' not in html

    def test_is_refused_while_the_study_runs(self, owner):
        with pytest.raises(Conflict):
            selectors.render_report(sweep_row(owner))
