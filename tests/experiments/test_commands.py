"""Experiments from the command line."""

import json
import re
from datetime import timedelta

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import yaml
from django.core.management import CommandError, call_command

from experiments import jobs, selectors
from experiments.intake import of_rows
from experiments.models import Exposure, ExposureCount, PeriodStatistic, UnitStatistic
from experiments.services.outcomes import record_outcomes
from tests.factories import experiments
from tests.factories.accounts import account
from tests.factories.feeding import START, of_arms, plan, running


@pytest.fixture
def manage(capsys):
    def run(*words, as_json=True):
        call_command(*map(str, words), *(["--json"] if as_json else []))
        text = capsys.readouterr().out
        return json.loads(text) if as_json else text

    return run


@pytest.fixture
def experiment(db):
    return running(account("researcher"))


def written(folder, kind, rows):
    path, table = folder / f"outcomes.{kind}", pa.Table.from_pylist(rows)
    if kind == "json":
        path.write_text(json.dumps({"outcomes": rows}))
    elif kind == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        at = table["at"].cast(pa.timestamp("us", "UTC"))
        table = table.set_column(table.column_names.index("at"), "at", at)
        if kind == "parquet":
            pyarrow.parquet.write_table(table, path)
        else:
            with pa.ipc.new_file(path, table.schema) as writer:
                writer.write_table(table)
    return path


class TestSizing:
    def test_says_what_a_plan_takes_and_keeps_nothing(self, db, manage, tmp_path):
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(plan(assumptions={"effect": 0.0004, "deviation": 0.006})))

        found = manage("size_experiment", path)

        assert found["sizing"]["periods"] == 1766
        assert found["detectability"]["level"] == pytest.approx(0.05)
        assert "takes 1,766 periods" in manage("size_experiment", path, as_json=False)
        assert manage("list_experiments", as_json=False).count("momentum") == 0
        assert manage("create_experiment", path)["sizing"] == found["sizing"]
        assert "1,766 periods" in manage("show_experiment", "momentum", as_json=False)

    def test_says_that_it_cannot(self, db, manage, tmp_path):
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(plan(design="assigned")))

        assert "no assumptions" in manage("size_experiment", path, as_json=False)


class TestLife:
    def test_goes_from_a_plan_to_its_end(self, db, manage, tmp_path):
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(plan()))

        made = manage("create_experiment", path)
        assert made["status"] == "draft"
        assert made["detectability"]["years_for_ratio_of_1"] == pytest.approx(7.85, abs=0.01)
        assert manage("start_experiment", "momentum")["status"] == "running"
        assert manage("pause_experiment", "momentum", "--reason", "a look")["status"] == "paused"
        assert manage("show_experiment", "momentum")["weights"] == {
            "champion": 0.5,
            "challenger": 0.5,
        }
        assert "paused, shadow" in manage("show_experiment", "momentum", as_json=False)

    def test_says_whose_a_draft_is(self, db, manage, tmp_path):
        path, ada = tmp_path / "plan.yaml", account(name="ada")
        path.write_text(yaml.safe_dump(plan()))

        of_console = manage("create_experiment", path, as_json=False)
        path.write_text(yaml.safe_dump(plan() | {"name": "another"}))
        of_ada = manage("create_experiment", path, "--actor", ada, as_json=False)

        assert "owned by console; --actor NAME makes it somebody's." in of_console
        assert "owned by ada." in of_ada

    def test_ends_with_an_answer(self, experiment, manage, settings):
        settings.EMBEDDED_BROKER = False
        words = ("--verdict", "winner", "--winner", "challenger", "--reason", "it won")

        assert manage("conclude_experiment", "momentum", *words)["winner"] == "challenger"

    @pytest.mark.parametrize("words", [("start_experiment", "none"), ("show_experiment", "none")])
    def test_refuses_in_one_line(self, db, manage, words):
        with pytest.raises(
            CommandError, match=r"There is no experiment 'none'; there is none yet\.$"
        ):
            manage(*words, as_json=False)


class TestChangeShares:
    def test_gives_the_arms_others(self, db, manage):
        running(account("researcher"), design="assigned")

        made = manage(
            "change_shares", "momentum", "champion=0.3", "challenger=0.7", "--reason", "a hunch"
        )  # fmt: skip

        assert (made["allocation"], made["context"]) == (2, None)
        assert manage("show_experiment", "momentum")["weights"] == made["weights"]

    def test_of_one_context(self, db, manage):
        context = {"attribute": "regime", "values": ["calm", "turbulent"]}
        running(account("researcher"), design="assigned", allocation={"context": context})
        words = ("change_shares", "momentum", "champion=0.3", "challenger=0.7", "--reason", "why")

        text = manage(*words, "--context", "calm", as_json=False)
        shown = manage("show_experiment", "momentum")

        assert "momentum allocation 3 where calm: champion 0.3, challenger 0.7." in text
        assert shown["weights"] == {}
        assert shown["weights_by_context"] == {
            "calm": {"champion": 0.3, "challenger": 0.7},
            "turbulent": {"champion": 0.5, "challenger": 0.5},
        }
        assert "shares of calm: champion 30%, challenger 70%" in manage(
            "show_experiment", "momentum", as_json=False
        )
        with pytest.raises(CommandError, match="say of which, calm, turbulent"):
            manage(*words, as_json=False)

    @pytest.mark.parametrize("text", ["champion", "champion=", "champion:0.3"])
    def test_refuses_what_is_no_share_in_one_line(self, db, manage, text):
        running(account("researcher"), design="assigned")

        with pytest.raises(CommandError, match=r"write ARM=SHARE, as champion=0\.3"):
            manage("change_shares", "momentum", text, "--reason", "why", as_json=False)

    def test_refuses_an_arm_that_is_named_twice(self, db, manage):
        running(account("researcher"), design="assigned")
        shares = ("champion=0.3", "champion=0.5", "challenger=0.5")

        with pytest.raises(CommandError, match="The arm champion is named twice"):
            manage("change_shares", "momentum", *shares, "--reason", "why", as_json=False)


class TestIngestOutcomes:
    @pytest.mark.parametrize("kind", ["json", "csv", "parquet", "arrow"])
    def test_takes_a_file_once(self, experiment, manage, tmp_path, kind):
        path = written(tmp_path, kind, of_arms(25))

        first = manage("ingest_outcomes", "momentum", path, "--batch", 10)
        again = manage("ingest_outcomes", experiment.public_id, path)

        assert first == {"accepted": 25, "duplicate": 0, "late": 0, "refused": {}}
        assert again == {"accepted": 0, "duplicate": 25, "late": 0, "refused": {}}
        assert selectors.tallies(experiment) == {"accepted": 25, "duplicate": 25}

    def test_says_what_is_refused(self, experiment, manage, tmp_path):
        path = written(tmp_path, "json", [*of_arms(2), of_arms(1)[0] | {"metric": "no"}])

        text = manage("ingest_outcomes", "momentum", path, as_json=False)

        assert "2 taken" in text
        assert "row 2 (counted from 0): unknown_metric" in text

    def test_names_the_lines_of_a_text(self, experiment, manage, tmp_path):
        rows = [*of_arms(2), of_arms(1)[0] | {"metric": "no"}, of_arms(1)[0] | {"metric": "none"}]
        path = written(tmp_path, "csv", rows)
        header, first, *rest = path.read_text().splitlines()
        path.write_text("\n".join([header, first, "", *rest, ""]))

        text = manage("ingest_outcomes", "momentum", path, as_json=False)

        assert "  line 5: unknown_metric" in text
        assert "  line 6: unknown_metric" in text

    def test_names_the_line_of_a_time_without_a_zone_in_any_batch(
        self, experiment, manage, tmp_path
    ):
        path = written(tmp_path, "csv", of_arms(6))
        lines = path.read_text().splitlines()
        for line in (2, 5):
            lines[line] = lines[line].replace("Z", "").replace("+00:00", "")
        path.write_text("\n".join(lines))

        text = manage("ingest_outcomes", "momentum", path, "--batch", 3, as_json=False)

        assert "4 taken" in text
        assert "  line 3: bad_time: at is ISO 8601 with its zone" in text
        assert "  line 6: bad_time" in text

    @pytest.mark.parametrize("kind", ["json", "csv"])
    def test_refuses_a_row_that_is_wrong_and_takes_the_others(
        self, experiment, manage, tmp_path, kind
    ):
        """One rule for a file and for REST, whose rows those of a JSON file are."""
        wrong = ["0,0012", "", "1_0", "n/a"]
        rows = of_arms(9)
        for at, text in enumerate(wrong):
            rows[2 * at]["value"] = text
        path = tmp_path / "outcomes.json"
        path.write_text(json.dumps(rows))
        if kind == "csv":
            path = written(tmp_path, "csv", [one | {"value": str(one["value"])} for one in rows])

        counted = manage("ingest_outcomes", "momentum", path)
        told = manage("ingest_outcomes", "momentum", path, as_json=False)

        assert (counted["accepted"], counted["refused"]) == (5, {"not_finite": 4})
        assert selectors.tallies(experiment)["not_finite"] == 8  # counted each time
        first = "line 2" if kind == "csv" else "row 0 (counted from 0)"
        assert f"  {first}: not_finite: " in told
        assert "5 had been counted; 4 refused." in told

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("metric,value\na,1\n\nb,2\nc,3,4\n", "line 5: Expected 2 columns"),
            ("metric,value\r\n\r\na,1\r\nb,2,3\r\n", "line 4: Expected 2 columns"),
        ],
    )
    def test_names_the_line_that_cannot_be_read(self, experiment, manage, tmp_path, text, line):
        (tmp_path / "a.csv").write_bytes(text.encode())

        with pytest.raises(CommandError, match=line):
            manage("ingest_outcomes", "momentum", tmp_path / "a.csv", as_json=False)

    @pytest.mark.parametrize(
        ("name", "text"),
        [("a.json", "{"), ("a.csv", "metirc,value\na,1\n"), ("a.parquet", "x"), ("a.txt", "")],
    )
    def test_refuses_a_file_in_one_line(self, experiment, manage, tmp_path, name, text):
        (tmp_path / name).write_text(text)

        with pytest.raises(CommandError) as refusal:
            manage("ingest_outcomes", "momentum", tmp_path / name, as_json=False)
        assert len(str(refusal.value).splitlines()) == 1


class TestListExperiments:
    def test_tells_of_all_the_newest_first(self, experiment, manage):
        other = running(experiment.owner, name="venue", design="assigned")

        rows = manage("list_experiments")["experiments"]
        told = manage("list_experiments", as_json=False)

        assert [row["name"] for row in rows] == ["venue", "momentum"]
        assert rows[1]["arms"] == ["champion", "challenger"]
        assert [line.split()[:3] for line in told.splitlines()] == [
            ["NAME", "STATUS", "DESIGN"],
            [other.name, "running", "assigned"], ["momentum", "running", "shadow"],
        ]  # fmt: skip

    def test_says_what_the_last_look_says(self, experiment, manage):
        record_outcomes(
            experiment_id=experiment.public_id, sent=of_rows(of_arms(10)), actor=experiment.owner,
            at=START + timedelta(days=3),
        )  # fmt: skip
        jobs.analyze_experiment(experiment_id=experiment.public_id)

        says = manage("list_experiments")["experiments"][0]["says"]

        assert says == (
            "No interval yet: 1 of the 100 periods that the first one takes have been compared."
        )
        assert says in manage("list_experiments", as_json=False)

    def test_filters_by_status(self, experiment, manage):
        assert manage("list_experiments", "--status", "draft")["experiments"] == []
        assert "No experiment" in manage("list_experiments", "--status=draft", as_json=False)


class TestStartExperiment:
    def test_asks_whether_arms_that_are_the_same_files_are_meant(self, db, manage):
        made = experiments.alike(account())

        with pytest.raises(CommandError, match=r"same files .* A/A test by --allow-same-arms"):
            call_command("start_experiment", made.name)
        assert "are the same files" in manage("show_experiment", made.name, as_json=False)
        assert manage("start_experiment", made.name, "--allow-same-arms")["status"] == "running"


class TestShowExperiment:
    def test_names_the_nearest_of_an_unknown_name(self, experiment):
        with pytest.raises(CommandError, match="no experiment 'momentun'; did you mean 'momentum'"):
            call_command("show_experiment", "momentun")
        with pytest.raises(CommandError, match=r"no experiment 'x'; there are: momentum\."):
            call_command("show_experiment", "x")

    def test_tells_the_start_the_metric_and_the_difference_so_far(self, experiment, manage):
        record_outcomes(
            experiment_id=experiment.public_id, sent=of_rows(of_arms(10)), actor=experiment.owner,
            at=START + timedelta(days=3),
        )  # fmt: skip
        jobs.analyze_experiment(experiment_id=experiment.public_id)

        told = manage("show_experiment", "momentum", as_json=False)

        assert f"  started {START:%Y-%m-%d %H:%M} UTC; return (mean, increase) answers" in told
        assert "  challenger less champion, return: " in told
        assert ", no interval yet\n" in told
        assert told.count("1 of the 100 periods that the first one takes") == 1

    def test_tells_the_interval_with_its_confidence(self, db, manage):
        made = experiments.running(account())
        experiments.add_sums(made, experiments.returns(60))
        jobs.analyze_experiment(experiment_id=made.public_id)

        (told,) = manage("show_experiment", made.name)["differences"]

        assert re.search(r"return: \S+, 95 % interval \S+ to \S+$", told)

    def test_tells_every_metric_and_where_guardrails_stand(self, db, manage):
        metrics = [
            {"name": "drawdown", "role": "guardrail", "direction": "decrease", "margin": 0.002,
             "unit": "fraction"},
            {"name": "return", "role": "primary", "unit": "fraction"},
            {"name": "slippage", "unit": "bps"},
        ]  # fmt: skip
        made = experiments.running(account(), metrics=metrics)
        for seed, name in enumerate(("return", "drawdown")):
            experiments.add_sums(made, experiments.returns(60, seed=seed), metric=name)
        jobs.analyze_experiment(experiment_id=made.public_id)

        told = manage("show_experiment", made.name)["differences"]
        shown = manage("show_experiment", made.name, as_json=False)

        percent = r"-?[0-9.]+ %"
        interval = f"{percent}, 95 % interval {percent} to {percent}"
        parts = [
            f"return: {interval}",
            f"guardrail drawdown: {interval}; held, worse by 0[.]2 % is tolerated",
            "secondary slippage: –, no interval yet: No period has outcomes of both arms yet[.]",
        ]
        assert len(told) == len(parts)
        for line, part in zip(told, parts, strict=True):
            assert re.fullmatch(f"challenger less champion, {part}", line)
            assert f"  {line}\n" in shown

    def test_tells_that_periods_after_the_plan_change_no_answer(self, db, manage):
        made = experiments.running(account(), stopping={"on_answer": "notify"})
        experiments.add_sums(made, experiments.returns(131))
        jobs.analyze_experiment(experiment_id=made.public_id)

        (note,) = manage("show_experiment", made.name)["notes"]

        assert note.startswith("The answer is that of the 100 planned periods. ")
        assert f"  note: {note}\n" in manage("show_experiment", made.name, as_json=False)

    def test_tells_a_draft_from_what_runs(self, db, manage):
        made = experiments.draft(account())

        assert "  not started; return" in manage("show_experiment", made.name, as_json=False)

    def test_tells_how_long_until_the_first_look(self, experiment, manage):
        told = manage("show_experiment", "momentum", as_json=False)

        said = "No interval yet: 0 of the 100 periods that the first one takes have been compared."
        day = START.date() + timedelta(days=100)
        over = f"It could have come at {day} 00:00 UTC, but nothing was analyzed yet."
        assert f"  {said} {over}\n" in told


class TestPage:
    def test_is_named_where_the_address_of_the_site_is_known(self, db, manage, settings):
        made = experiments.draft(account("researcher"))
        settings.PUBLIC_URL = "https://lab.example.com/quant"

        told = manage("start_experiment", made.name, as_json=False)

        page = f"https://lab.example.com/quant/admin/experiments/experiment/{made.pk}/change/"
        assert f"  {page}\n" in told

    def test_is_left_out_elsewhere(self, db, manage):
        made = experiments.draft(account("researcher"))

        assert "http" not in manage("start_experiment", made.name, as_json=False)


class TestEvaluatePolicy:
    def collected(self, **more):
        settings = {"policy": "thompson_normal", "refresh": "365d"}
        made = experiments.running(
            account("researcher"), design="assigned", allocation=settings, **more
        )
        experiments.add_sums(made, experiments.returns(60, lift=0.001), allocation=1)
        jobs.analyze_experiment(experiment_id=made.public_id)
        return made

    def test_says_what_other_shares_had_made(self, db, manage):
        made = self.collected()

        told = manage("evaluate_policy", made.name, "champion=0.2", "challenger=0.8")

        assert told["shares"] == {"champion": 0.2, "challenger": 0.8}
        assert (told["metric"], told["value"]["n_periods"]) == ("return", 60)
        assert told["value"]["largest_weight"] == pytest.approx(1.6)
        assert told["compared"]["challenger"]["difference"] == pytest.approx(0.001, abs=0.001)
        said = manage("evaluate_policy", made.name, "challenger=1", as_json=False)
        assert re.search(r"^  Value of these shares +estimate +95 % interval$", said, re.MULTILINE)
        for name in ("IPS", "SNIPS", "doubly robust", "challenger less champion, AIPW"):
            assert re.search(rf"^    {name} +\S+  +\S+ to \S+$", said, re.MULTILINE)
        assert max(map(len, said.splitlines())) <= 100

    @pytest.mark.parametrize(
        ("shares", "says"),
        [
            (["champion=0.2", "challenger=0.7"], "add up to 1"),
            (["champion=0.2", "other=0.8"], "no arm other"),
        ],
    )
    def test_refuses_shares_that_are_none(self, db, manage, shares, says):
        with pytest.raises(CommandError, match=says):
            manage("evaluate_policy", self.collected().name, *shares, as_json=False)

    def test_is_not_for_shadow_arms_nor_before_an_analysis(self, experiment, manage):
        early = experiments.running(experiment.owner, design="assigned")

        with pytest.raises(CommandError, match="every arm has every outcome"):
            manage("evaluate_policy", experiment.name, "challenger=1", as_json=False)
        with pytest.raises(CommandError, match="has been analyzed yet"):
            manage("evaluate_policy", early.name, "challenger=1", as_json=False)

    def test_says_of_an_arm_that_nobody_asked_about_why_it_is_not_compared(self, db, manage):
        arms = [{"name": "champion", "control": True}, {"name": "challenger"}, {"name": "idle"}]
        made = experiments.running(
            account("researcher"), design="assigned", counted_by="exposure", arms=arms,
            allocation={"weights": {"champion": 0.5, "challenger": 0.5, "idle": 0.0}},
        )  # fmt: skip
        experiments.add_sums(made, experiments.returns(60, n_arms=3), allocation=1)
        PeriodStatistic.objects.filter(arm__name="idle").delete()
        jobs.analyze_experiment(experiment_id=made.public_id)

        told = manage("evaluate_policy", made.name, "champion=0.2", "challenger=0.8")

        assert set(told["compared"]) == {"challenger"}
        assert told["not_compared"] == {"idle": "Nobody met idle."}
        said = manage("evaluate_policy", made.name, "challenger=1", as_json=False)
        assert "idle is not compared: Nobody met idle." in said
        with pytest.raises(CommandError, match=r"Nobody met idle\."):
            manage("evaluate_policy", made.name, "idle=1", as_json=False)

    def test_is_not_for_units_that_report_again_and_again(self, db, manage):
        made = experiments.running(account("researcher"), design="assigned")
        experiments.add_sums(made, experiments.returns(60), allocation=1)
        for arm in made.arms.all():
            ExposureCount.objects.create(experiment=made, arm=arm, allocation=1, shard=0, n=5)
        jobs.analyze_experiment(experiment_id=made.public_id)

        with pytest.raises(CommandError, match="period after period"):
            manage("evaluate_policy", made.name, "challenger=1", as_json=False)


class TestPlanNotes:
    def test_say_what_the_ramp_costs_from_the_draft_on(self, db, manage, tmp_path):
        path = tmp_path / "plan.yaml"
        steps = [{"at": f"2026-01-{day:02}T00:00:00Z", "share": share}
                 for day, share in ((1, 0.1), (31, 1.0))]  # fmt: skip
        path.write_text(yaml.safe_dump(plan(design="assigned", assignment={"ramp": steps})))

        (said,) = manage("create_experiment", path)["notes"]

        assert said.startswith("The ramp makes the standard error of the whole 1.")
        assert manage("show_experiment", "momentum")["notes"] == [said]


class TestDetectability:
    def test_is_told_by_the_command(self, experiment, manage):
        sentence = manage("show_experiment", "momentum", as_json=False)

        assert "A ratio of 1 takes 7.8 years" in sentence

    def test_is_not_told_of_units(self, experiment, manage):
        running(experiment.owner, name="venue", design="assigned")

        assert manage("show_experiment", "venue")["detectability"] is None
        assert "information ratio" not in manage("show_experiment", "venue", as_json=False)


class TestRebuildUnitSums:
    @pytest.fixture
    def assigned(self, db):
        made = running(account("researcher"), design="assigned")
        Exposure.objects.create(
            experiment=made, unit="AAPL", arm=made.arms.get(position=0), allocation=1,
            probability=0.5, at=START,
        )  # fmt: skip
        rows = [
            {"metric": "return", "value": 1.0, "unit": "AAPL", "key": str(n),
             "at": (START + timedelta(days=n)).isoformat()}
            for n in range(3)
        ]  # fmt: skip
        record_outcomes(
            experiment_id=made.public_id, sent=of_rows(rows), actor=made.owner,
            at=START + timedelta(days=9),
        )  # fmt: skip
        return made

    def test_compares_and_adds_up_anew(self, assigned, manage, capsys):
        assert manage("rebuild_unit_sums", "momentum", "--check")["differing"] == []
        UnitStatistic.objects.update(total=7.0)

        with pytest.raises(CommandError, match=r"by: manage\.py rebuild_unit_sums mom"):
            call_command("rebuild_unit_sums", "momentum", "--check")
        told = capsys.readouterr().out
        assert "return of champion, allocation 1: total is 21, and 3 by the outcomes" in told
        assert manage("rebuild_unit_sums", "momentum")["outcomes"] == 3

        said = manage("rebuild_unit_sums", "momentum", "--check", as_json=False)
        assert "All sums by unit of momentum are those of its outcomes." in said

    def test_says_what_it_could_not_compare(self, assigned, manage):
        UnitStatistic.objects.update(
            cell_nn=0.0, cell_ny=0.0, cell_nx=0.0, cell_yy=0.0, cell_yx=0.0, cell_xx=0.0
        )

        said = manage("rebuild_unit_sums", "momentum", "--check", as_json=False)

        assert "return of champion, allocation 1: cell_* and late_* are not compared; some" in said
        assert "rebuild_unit_sums makes them smaller" in said
        assert "All that could be compared of momentum are those of its outcomes." in said

    def test_says_why_it_cannot(self, experiment):
        with pytest.raises(CommandError, match="momentum are not added up by unit"):
            call_command("rebuild_unit_sums", "momentum")
