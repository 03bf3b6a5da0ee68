"""Runs of a registered version's file, and the evidence that comes of them."""

import json
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from unittest.mock import patch

import pytest
from django.urls import reverse
from django.utils import timezone

from backtests import jobs, selectors, services, tasks
from backtests.jobs import evaluation, handing, measured
from backtests.jobs.seen import days_seen
from backtests.management.commands.run import Command
from backtests.models import Chunk, Run
from crowetrade_site.core import canonical
from crowetrade_site.core.errors import Conflict, InvalidInput, NotFound, Unavailable
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import selectors as registry
from registry import services as registering
from registry.jobs import admit_version
from registry.lifecycle import Stage, VersionStatus
from registry.models import Evidence, ModelVersion
from registry.rules.policies import GateKind
from tests.factories.accounts import account
from tests.factories.backtests import AT, SEARCH, STRATEGY, bars_dataset, queued, work_off
from tests.factories.clients import client as client_of
from tests.factories.registry import model_version, registered_model

pytestmark = pytest.mark.django_db(transaction=True)
POLICY = """
testing: {gates: [{kind: artifact_scan}, {kind: integrity}, {kind: signature_schema}]}
staging:
  gates:
    - {kind: backtest, minimum: {n_bars: 252, sharpe: -9}, maximum: {max_drawdown: 0.9}}
  approvals: {number: 1}
production: {approvals: {number: 2}}
"""
POLICY_OF_TWO = """
testing: {gates: [{kind: artifact_scan}]}
staging: {gates: [{kind: backtest, minimum: {n_bars: 252}}], approvals: {number: 1}}
production:
  gates: [{kind: pbo, maximum: {probability: 1.0}}, {kind: reproduction, max_age_days: 90}]
  approvals: {number: 2}
"""


@pytest.fixture
def author(transactional_db):
    return account(Role.RESEARCHER, "author")


@pytest.fixture(autouse=True)
def _policy(transactional_db):
    """Let backtests decide; a flush may have taken the first policy."""
    registering.store_policy(
        name="default", text=POLICY, actor=account(Role.ADMIN), at=AT, reason="For these tests."
    )


@pytest.fixture
def data(author, tmp_path):
    return bars_dataset(tmp_path, author, n_days=300)


@pytest.fixture
def version(author):
    """A version whose file is a strategy spec."""
    return admitted(author, json.dumps(STRATEGY).encode())


def admitted(author, content=b""):
    """Register a file, and have a worker look at it."""
    made = model_version(
        author, model=registered_model(author, "crossing"), status=VersionStatus.PENDING,
        content=content,
    )  # fmt: skip
    admit_version(version_id=made.public_id)
    made.refresh_from_db()
    return made


def mistyped(key):
    """Return a strategy whose first signal has a key that no signal has."""
    first, *others = STRATEGY["signals"]
    return STRATEGY | {"signals": [first | {key: 1}, *others]}


def bound(author, **more):
    return queued(author, strategy="models:/crossing/1", **more)


def finished(run):
    """Do what workers do of a run and of the message behind it."""
    run = work_off(run)
    jobs.hand_in_evidence(run_id=run.public_id)
    run.refresh_from_db()
    return run


def as_if(run, kind, **summary):
    """Return a run that ended with a summary, without the hours that it takes."""
    run.kind, run.status = kind, "succeeded"
    run.summary = summary
    return run


class TestQueueRun:
    def test_runs_the_registered_file(self, data, version, author):
        run = bound(author)

        assert run.tested_version == version.public_id
        assert run.tested_digest == version.digest
        assert run.spec["strategy"]["signals"] == queued(author).spec["strategy"]["signals"]

    def test_keeps_to_the_version_that_an_alias_meant(self, data, version, author):
        registering.set_alias(name="crossing", alias="best", number=1, actor=author, at=AT)

        assert queued(author, strategy="models:/crossing@best").tested_name == "models:/crossing/1"

    def test_binds_nothing_that_only_looks_alike(self, data, version, author):
        assert queued(author).tested_version is None

    def test_refuses_a_file_that_is_no_strategy(self, data, author):
        admitted(author)

        with pytest.raises(InvalidInput, match="lookback_days"):
            bound(author)

    def test_names_version_and_file_of_a_fault_beside_those_of_the_spec(self, data, author):
        admitted(author, json.dumps(mistyped("lookback_dyas")).encode())

        with pytest.raises(InvalidInput) as refused:
            bound(author, seeed=1)

        assert "models:/crossing/1, parameters.json: signals.0.lookback_dyas: unknown key" in str(
            refused.value
        )
        paths = [fault["path"] for fault in refused.value.extensions["errors"]]
        assert paths[0] == "seeed"
        assert set(paths[1:]) == {"strategy"}

    def test_refuses_what_is_not_there(self, data, version, author):
        with pytest.raises(NotFound):
            queued(author, strategy="models:/crossing/9")

    def test_refuses_an_archived_version(self, data, version, author):
        ModelVersion.objects.update(stage=Stage.ARCHIVED)

        with pytest.raises(Conflict, match="archived"):
            bound(author)

    def test_tells_requests_for_the_file_and_for_its_like_apart(self, data, version, author):
        services.queue_run(
            document={"dataset": "tiny", "strategy": STRATEGY}, actor=author, at=AT,
            idempotency_key="k",
        )  # fmt: skip

        with pytest.raises(Conflict, match="key"):
            services.queue_run(
                document={"dataset": "tiny", "strategy": "models:/crossing/1"}, actor=author,
                at=AT, idempotency_key="k",
            )  # fmt: skip


class TestHandInEvidence:
    def test_measures_a_backtest_once(self, data, version, author):
        run = finished(bound(author))
        Run.objects.filter(pk=run.pk).update(evidence_at=None)
        jobs.hand_in_evidence(run_id=run.public_id)

        piece = Evidence.objects.get(kind="backtest")
        assert (piece.kind, piece.is_measured, piece.version) == ("backtest", True, version)
        assert piece.figures["n_bars"] == run.summary["n_bars"]
        assert piece.figures["sharpe"] == run.summary["metrics"]["sharpe"]["value"]
        assert piece.digests == {
            "artifact": version.digest, "data": data.digest, "code": run.code_digest,
            "engine": run.summary["engine_version"], "strategy": run.strategy_digest,
            "spec": run.spec_digest, "result": run.result_digest,
            "quality": canonical.digest(data.report),
        }  # fmt: skip
        told = AuditEvent.objects.filter(verb="registry.evidence.measured")
        assert told.count() == 1
        assert run.is_kept

    def test_tells_how_sound_the_data_are(self, data, version, author):
        run = finished(bound(author))

        piece = Evidence.objects.get(kind="data_quality")
        assert piece.is_measured
        assert piece.source == f"backtests.run:{run.public_id}"
        assert piece.digests["data"] == data.digest
        assert piece.figures["n_rows"] == data.report["n_rows"]
        assert piece.figures["n_refused"] == data.n_refused
        assert piece.figures["n_errors"] == 0

    def test_tells_what_is_lost_under_stress(self, data, version, author):
        costs = {"commission_bps": 1, "half_spread_bps": 5}
        run = finished(bound(author, costs=costs))

        found, piece = run.summary["stress"], Evidence.objects.get(kind="stress")
        assert piece.is_measured
        assert found["figures"].items() <= piece.figures.items()
        assert piece.figures["half_spread_bps"] == 5
        assert piece.figures["fills_look_ahead"] == 0
        figures, metrics = found["figures"], run.summary["metrics"]
        assert figures["max_drawdown"] == pytest.approx(metrics["max_drawdown"]["value"])
        assert figures["worst_1d_loss"] <= figures["worst_loss"]
        assert figures["max_drawdown"] < figures["volatility_x2_max_drawdown"]
        assert figures["worst_drawdown"] >= figures["volatility_x2_max_drawdown"]
        assert 0.0 < figures["gap_loss"] <= 0.1 * 1.01  # no more than all of it is invested
        assert len(found["windows"]) == 5
        assert min(one["market"] for one in found["windows"]) == -figures["worst_market_fall"]
        assert found["reasons"] == {}

    def test_trades_at_three_times_the_spread(self, data, version, author):
        cheap = finished(bound(author, costs={"half_spread_bps": 5}))
        dear = finished(bound(author, costs={"half_spread_bps": 15}))

        traded = cheap.summary["stress"]["figures"]["spread_x3_return"]
        assert traded == pytest.approx(dear.summary["final_equity"] / dear.spec["capital"] - 1.0)

    def test_leaves_out_what_an_estimated_spread_does_not_say(self, data, version, author):
        run = finished(bound(author, costs={"half_spread_bps": "corwin_schultz"}))

        assert "spread_x3_return" not in Evidence.objects.get(kind="stress").figures
        assert "estimated" in run.summary["stress"]["reasons"]["spread_x3_max_drawdown"]

    def test_is_measured_for_versions_alone(self, data, version, author):
        assert "stress" not in work_off(queued(author)).summary

    def test_of_stress_that_comes_out_otherwise_is_not_reproduced(self, data, version, author):
        run = finished(bound(author))
        stress = run.summary["stress"] | {"windows": []}
        Run.objects.filter(pk=run.pk).update(summary=run.summary | {"stress": stress})

        again = finished(
            services.reproduce_run(run_id=run.public_id, actor=author, at=timezone.now())
        )

        assert again.status == "failed"
        assert "a summary does" in again.problem["detail"]
        assert Evidence.objects.get(kind="reproduction").figures["is_identical"] is False

    def test_of_other_data_leaves_what_it_said_of_these(self, data, version, author, tmp_path):
        finished(bound(author))
        other = bars_dataset(tmp_path, author, "other", n_days=280, seed=9)
        finished(bound(author, dataset="other"))

        sound = Evidence.objects.filter(kind="data_quality", status="valid")
        assert {piece.digests["data"] for piece in sound} == {data.digest, other.digest}

    def test_comes_with_the_task_that_ends_the_run(self, data, version, author):
        run = bound(author)

        with patch.object(tasks.hand_in_evidence, "delay") as sent:
            tasks.execute_run(run_id=str(run.public_id))

        sent.assert_called_once_with(run_id=str(run.public_id))
        assert jobs.evidence_due() == []
        later = timezone.now() - timedelta(minutes=2)
        Run.objects.update(evidence_asked_at=later)
        assert jobs.evidence_due() == [run.public_id]

    def test_fails_no_run_when_the_registry_refuses(self, data, version, author):
        run = work_off(bound(author))
        registering.report_tampering(version_id=version.public_id, path="x", found="0" * 64, at=AT)

        jobs.hand_in_evidence(run_id=run.public_id)

        run.refresh_from_db()
        assert run.status == "succeeded"
        assert "compromised" in run.evidence_problem["detail"]
        assert not Evidence.objects.exists()
        assert AuditEvent.objects.filter(verb="backtests.run.evidence_refused").count() == 1

    @pytest.mark.parametrize("fault", [Unavailable("The store is away."), RuntimeError("boom")])
    def test_comes_back_to_what_failed(self, data, version, author, fault):
        run = work_off(bound(author))
        failing = patch.object(handing.registry, "record_measurements", side_effect=fault)
        with failing, suppress(RuntimeError):
            jobs.hand_in_evidence(run_id=run.public_id)
        run.refresh_from_db()
        assert (run.status, run.evidence_at) == ("succeeded", None)

        jobs.hand_in_evidence(run_id=run.public_id)

        kinds = set(Evidence.objects.values_list("kind", flat=True))
        assert kinds == {"backtest", "stress", "data_quality"}

    def test_gives_up_in_the_end(self, data, version, author):
        run = work_off(bound(author))
        Run.objects.update(evidence_attempts=handing.MOST_ATTEMPTS - 1)
        with (
            patch.object(handing.registry, "record_measurements", side_effect=RuntimeError),
            pytest.raises(RuntimeError),
        ):
            jobs.hand_in_evidence(run_id=run.public_id)

        run.refresh_from_db()
        assert run.evidence_problem
        assert jobs.evidence_due() == []

    def test_refuses_figures_of_another_strategy(self, data, version, author):
        run = work_off(bound(author))
        Run.objects.update(strategy_digest="0" * 64)

        jobs.hand_in_evidence(run_id=run.public_id)

        run.refresh_from_db()
        assert "did not compute" in run.evidence_problem["detail"]

    def test_takes_a_reproduction_as_one(self, data, version, author):
        run = finished(bound(author))
        again = services.reproduce_run(run_id=run.public_id, actor=author, at=AT)

        finished(again)

        piece = Evidence.objects.get(kind="reproduction")
        assert piece.figures["is_identical"] is True
        assert piece.figures["of"] == str(run.public_id)

    def test_takes_a_reproduction_that_failed_as_one(self, data, version, author):
        run = finished(bound(author))
        Run.objects.filter(pk=run.pk).update(result_digest="d" * 64)
        again = services.reproduce_run(run_id=run.public_id, actor=author, at=AT)

        again = finished(again)

        assert again.status == "failed"
        piece = Evidence.objects.get(kind="reproduction")
        assert piece.figures["is_identical"] is False
        assert piece.figures["of"] == str(run.public_id)
        assert again.is_kept

    def test_takes_one_that_failed_though_the_recorded_file_is_lost(self, data, version, author):
        run = finished(bound(author))
        lost = run.artifacts | {"curves.parquet": {"digest": "e" * 64, "bytes": 1}}
        Run.objects.filter(pk=run.pk).update(result_digest="d" * 64, artifacts=lost)

        again = finished(services.reproduce_run(run_id=run.public_id, actor=author, at=AT))

        assert again.problem["type"].endswith("not-reproduced")
        assert f"The artefact {'e' * 64} is not in the store." in again.problem["detail"]
        assert Evidence.objects.get(kind="reproduction").figures["is_identical"] is False

    def test_takes_nothing_of_what_broke_off(self, data, version, author):
        run = finished(bound(author))
        again = services.reproduce_run(run_id=run.public_id, actor=author, at=AT)
        problem = {"title": "Boom", "detail": "boom"}
        Run.objects.filter(pk=again.pk).update(
            status="failed", finished_at=AT, problem=problem, published_at=AT
        )

        assert jobs.evidence_due() == []

    def test_measures_a_walk_forward(self, data, version, author):
        walk = {"train_days": 100, "test_days": 60, "search": SEARCH}

        run = finished(bound(author, kind="walk_forward", walk_forward=walk))

        kinds = set(Evidence.objects.values_list("kind", flat=True))
        assert {"walk_forward", "pbo"} <= kinds
        figures = Evidence.objects.get(kind="walk_forward").figures
        assert figures["n_folds"] == len(run.summary["study"]["walk"]["folds"])
        assert figures["sharpe"] == run.summary["metrics"]["sharpe"]["value"]
        assert AuditEvent.objects.filter(verb="registry.evidence.measured").count() == 1

    @pytest.mark.parametrize(("fast", "is_its_own"), [(2, True), (3, False)])
    def test_deflates_the_version_alone(self, data, version, author, fast, is_its_own):
        selection = {
            "n_trials": 12,
            "figures": {"pbo": {"value": 0.2}, "deflated_sharpe": {"value": 0.97}},
        }
        best = {"parameters": {"signals.0.fast_bars": fast, "signals.0.slow_bars": 5}}
        study = {"selection": selection, "leaders": [best], "ledger": {"n_on_this_data": 40}}
        run = as_if(bound(author), "sweep", study=study)

        pieces = {piece.kind: piece.figures for piece in handing.pieces_of(run)}

        paid = {name: run.spec["costs"][name] for name in measured.PAID}
        conditions = paid | {"fills_look_ahead": 0}
        assert pieces["pbo"] == {"probability": 0.2, "n_trials": 12} | conditions
        assert ("deflated_sharpe" in pieces) is is_its_own

    @pytest.mark.parametrize(
        ("searched", "known"),
        [
            ("signals.0.fast_bars", {*measured.PAID, "fills_look_ahead"}),
            ("costs.commission_bps", {"fills_look_ahead"}),
            ("fills", set(measured.PAID)),
        ],
    )
    def test_tells_what_every_trial_of_a_search_was_filled_at_and_paid(
        self, data, version, author, searched, known
    ):
        selection = {
            "n_trials": 2,
            "figures": {"pbo": {"value": 0.2}, "deflated_sharpe": {"value": 0.97}},
        }
        study = {
            "selection": selection, "leaders": [{"parameters": {}}], "ledger": {"n_on_this_data": 2}
        }  # fmt: skip
        run = as_if(bound(author, fills={"at": "same_close_with_look_ahead"}), "sweep", study=study)
        run.spec |= {"kind": "sweep", "search": {"kind": "grid", "over": {searched: [1, 2]}}}

        pieces = {piece.kind: piece.figures for piece in handing.pieces_of(run)}

        conditions = {*measured.PAID, "fills_look_ahead"}
        assert conditions.intersection(pieces["pbo"]) == known
        assert pieces["pbo"].get("fills_look_ahead", 1) == 1
        # its best trial is the spec itself, whatever the others were
        assert conditions <= set(pieces["deflated_sharpe"])

    def test_says_how_much_of_its_data_the_version_was_made_from(
        self, data, version, author, tmp_path
    ):
        start = data.last_at.date() - timedelta(days=9)
        run = work_off(bound(author, start=str(start)))
        shorter = bars_dataset(tmp_path, author, "shorter", n_days=299)
        others = bars_dataset(tmp_path, author, "others", n_days=300, symbols=("X", "Y"))
        before = bars_dataset(tmp_path, author, "before", n_days=100)

        def seen(*made_from):
            pieces = handing.pieces_of(run, [one.digest for one in made_from])
            (days,) = {piece.figures.get("days_seen") for piece in pieces}
            return days

        # the same file less one bar is the same data under another digest
        assert 0 < seen(shorter) < seen(data) <= 10
        assert seen(others, before) == 0
        assert seen(others, data) == seen(data)
        assert seen() is None
        assert days_seen(run, [data.digest, "f" * 64]) is None

    def test_says_of_a_search_what_its_training_saw(self, data, version, author, tmp_path):
        walk = {"train_days": 100, "test_days": 60, "search": SEARCH}
        run = work_off(bound(author, kind="walk_forward", walk_forward=walk))
        training = bars_dataset(tmp_path, author, "training", n_days=50)

        pieces = handing.pieces_of(run, [training.digest])

        days = {piece.kind: piece.figures["days_seen"] for piece in pieces}
        assert days.pop("walk_forward") == 0
        assert {"pbo", "data_quality"} <= set(days)
        assert set(days.values()) == {(training.last_at - training.first_at).days + 1}

    def test_does_not_take_a_search_for_cheap_fills(self, data, version, author):
        selection = {"n_trials": 2, "figures": {"deflated_sharpe": {"value": 0.99}}}
        best = {"parameters": {"costs.commission_bps": -1.0}}
        study = {"selection": selection, "leaders": [best], "ledger": {"n_on_this_data": 2}}

        run = as_if(bound(author), "sweep", study=study)
        assert handing.pieces_of(run) == []
        words = selectors.why_no_deflated_sharpe(run)
        assert "another than models:/crossing/1 (costs.commission_bps is -1.0, not " in words
        command = Command(stdout=StringIO())
        command.as_json = False
        command.tell_evidence(run)
        told = command.stdout.getvalue()
        assert "Evidence for models:/crossing/1: a worker hands it in" in told
        assert words in told

    def test_is_not_spoken_of_where_a_run_speaks_for_no_version(self, data, author):
        command = Command(stdout=StringIO())
        command.as_json = False

        command.tell_evidence(queued(author))

        assert command.stdout.getvalue() == ""

    @pytest.mark.parametrize(
        ("figure", "words"),
        [
            ({"value": 0.99}, ""),
            ({"value": None, "reason": "two trials are needed."}, "two trials are needed."),
        ],
    )
    def test_says_why_a_ratio_is_missing(self, data, version, author, figure, words):
        selection = {"n_trials": 2, "figures": {"deflated_sharpe": figure}}
        run = as_if(bound(author), "sweep")
        first = run.spec["strategy"]["signals"][0]
        own = {f"strategy.signals.0.{key}": value for key, value in first.items() if key != "kind"}
        leaders = [{"parameters": own}]
        run.summary = {
            "study": {"selection": selection, "leaders": leaders, "ledger": {"n_on_this_data": 2}}
        }

        said = selectors.why_no_deflated_sharpe(run)

        assert said.endswith(words)
        assert bool(said) != bool(handing.pieces_of(run))

    def test_names_kinds_that_gates_know(self, data, version, author):
        run = finished(bound(author))

        assert {piece.kind for piece in handing.pieces_of(run)} <= set(GateKind)


class TestVersionsThatMove:
    """Names change and versions are archived; what was found must be heard of all the same."""

    @pytest.fixture
    def run(self, data, version, author):
        return finished(bound(author))

    def failed(self, run, author):
        Run.objects.filter(pk=run.pk).update(result_digest="d" * 64)
        return finished(services.reproduce_run(run_id=run.public_id, actor=author, at=AT))

    def test_hear_of_a_failure_after_their_model_was_renamed(self, run, version, author):
        registering.rename_model(name="crossing", new_name="passing", actor=author, at=AT)

        again = self.failed(run, author)

        assert again.evidence_problem is None
        piece = Evidence.objects.get(kind="reproduction")
        assert (piece.version, piece.figures["is_identical"]) == (version, False)

    def test_take_figures_of_a_run_that_was_queued_under_an_older_name(self, run, author):
        late = work_off(bound(author))
        registering.rename_model(name="crossing", new_name="passing", actor=author, at=AT)

        jobs.hand_in_evidence(run_id=late.public_id)

        source = f"backtests.run:{late.public_id}"
        assert Evidence.objects.filter(source=source, kind="backtest").exists()

    def test_hear_of_a_failure_while_they_are_archived(self, run, version, author):
        ModelVersion.objects.update(stage=Stage.ARCHIVED)

        again = self.failed(run, author)

        assert again.evidence_problem is None
        assert Evidence.objects.get(kind="reproduction").figures["is_identical"] is False

    def test_take_figures_once_they_are_revived(self, data, version, author):
        run = work_off(bound(author))
        ModelVersion.objects.update(stage=Stage.ARCHIVED)

        jobs.hand_in_evidence(run_id=run.public_id)

        run.refresh_from_db()
        assert (run.evidence_at, run.evidence_problem) == (None, None)
        Run.objects.update(finished_at=timezone.now() - timedelta(minutes=1))
        assert jobs.evidence_due() == []
        ModelVersion.objects.update(stage=Stage.DEVELOPMENT)
        assert jobs.evidence_due() == [run.public_id]
        jobs.hand_in_evidence(run_id=run.public_id)
        assert Evidence.objects.filter(kind="backtest").count() == 1

    def test_hear_nothing_of_a_reproduction_of_another_strategy(self, run, author):
        again = work_off(services.reproduce_run(run_id=run.public_id, actor=author, at=AT))
        Run.objects.filter(pk=again.pk).update(strategy_digest="0" * 64)

        jobs.hand_in_evidence(run_id=again.public_id)

        again.refresh_from_db()
        assert "did not compute" in again.evidence_problem["detail"]


class TestLostChunks:
    """A study that lost some of its trials ends as failed, and what it kept proves nothing."""

    @pytest.fixture
    def lossy(self, data, version, author, monkeypatch):
        """Return what computes a run that loses its second chunk, as one that kills its workers."""
        monkeypatch.setattr(evaluation, "MOST_TRIALS", 2)

        def compute(run):
            chunks = jobs.execute_run(run_id=run.public_id, worker="test")
            lost = Chunk.objects.filter(run=run).order_by("first")[1]
            Chunk.objects.filter(pk=lost.pk).update(
                status="quarantined", problem={"detail": "The worker was lost."}
            )
            for chunk in chunks:
                found = jobs.execute_chunk(chunk_id=chunk, worker="test")
                chunks += found.chunks
                if found.study is not None:
                    jobs.execute_run(run_id=found.study, worker="test")
            run.refresh_from_db()
            assert (run.status, run.finished_at is None) == ("failed", False)
            assert run.result_digest
            return run

        return compute

    def test_make_a_study_no_evidence(self, lossy, author):
        run = lossy(bound(author, kind="sweep", search=SEARCH))

        Run.objects.update(finished_at=timezone.now() - timedelta(minutes=1))
        assert jobs.evidence_due() == []
        assert handing.pieces_of(run) == []
        assert not selectors.has_findings(run)
        jobs.hand_in_evidence(run_id=run.public_id)
        assert not Evidence.objects.exists()

    def test_are_no_difference_that_a_reproduction_found(self, lossy, author):
        run = finished(bound(author, kind="sweep", search=SEARCH))

        again = lossy(services.reproduce_run(run_id=run.public_id, actor=author, at=AT))

        jobs.hand_in_evidence(run_id=again.public_id)
        assert "reproduction" not in again.summary
        assert not Evidence.objects.filter(kind="reproduction").exists()


class TestGates:
    def test_are_met_by_what_was_measured_up_to_staging(self, data, version, author):
        mine, theirs = client_of(author), client_of(account(Role.VALIDATOR))
        base = f"/api/v1/versions/{version.public_id}"
        assert mine.post(f"{base}/move/", {"target": "testing"}, format="json").status_code == 200
        asked = {"target": "staging", "reason": "It holds."}
        refused = mine.post(f"{base}/promotions/", asked, format="json")
        assert refused.status_code == 422
        assert "no evidence" in refused.json()["detail"]

        run = finished(bound(author))

        answer = mine.post(f"{base}/promotions/", asked, format="json")
        assert answer.status_code == 201, answer.content
        request = answer.json()["id"]
        asked = f"/api/v1/promotions/{request}/"
        seen = theirs.get(asked).json()["standing"]["evidence_digest"]
        answer = theirs.post(f"{asked}approve/", {"evidence_digest": seen})
        assert answer.status_code == 200
        assert mine.get(f"{base}/").json()["stage"] == "staging"
        shown = mine.get(f"/api/v1/runs/{run.public_id}/").json()["evidence_for"]
        assert shown["state"] == "handed in"
        assert shown["version"] == "models:/crossing/1"
        stored = Evidence.objects.order_by("kind")
        assert shown["evidence"] == [str(piece.public_id) for piece in stored]

    def test_of_production_see_that_what_staging_rests_on_was_not_reproduced(
        self, data, version, author
    ):
        registering.store_policy(
            name="default", text=POLICY_OF_TWO, actor=account(Role.ADMIN), at=AT, reason="Two."
        )
        backtest = finished(bound(author))
        walk = {"train_days": 100, "test_days": 60, "search": SEARCH}
        searched = finished(bound(author, kind="walk_forward", walk_forward=walk))
        finished(services.reproduce_run(run_id=searched.public_id, actor=author, at=AT))
        assert self.reproduction_of(version).outcome == "met"
        Run.objects.filter(pk=backtest.pk).update(result_digest="d" * 64)

        finished(services.reproduce_run(run_id=backtest.public_id, actor=author, at=AT))

        result = self.reproduction_of(version)
        assert result.outcome == "not met"
        assert result.reason == (
            f"what was computed again is not identical; of {backtest.public_id}, which is evidence "
            "of: backtest"
        )

    def reproduction_of(self, version):
        version.refresh_from_db()
        report = registry.judge(version, Stage.PRODUCTION, at=timezone.now()).report
        return next(result for result in report.results if result.name == "reproduction")

    def test_are_not_met_once_the_code_is_other(self, data, version, author, monkeypatch):
        finished(bound(author))
        monkeypatch.setattr("crowetrade_site.core.provenance.code_digest", lambda: "f" * 64)
        ModelVersion.objects.update(stage=Stage.TESTING, left_development_at=AT)
        version.refresh_from_db()

        report = registry.judge(version, Stage.STAGING, at=timezone.now()).report

        reasons = {result.name: result.reason for result in report.results}
        assert reasons["backtest"].startswith("the code or the data have changed since")
        assert "the version does not name the data it was made from" in reasons["backtest"]


class TestPages:
    def test_link_run_and_version_both_ways(self, data, version, author, client):
        run = finished(bound(author))
        client.force_login(author)

        page = client.get(reverse("admin:backtests_run_change", args=[run.pk])).content.decode()
        other = client.get(
            reverse("admin:registry_modelversion_change", args=[version.pk])
        ).content.decode()

        assert reverse("admin:registry_modelversion_change", args=[version.pk]) in page
        assert "Under stress" in page
        for piece in Evidence.objects.all():
            assert reverse("admin:registry_evidence_change", args=[piece.pk]) in page
        link = reverse("admin:backtests_run_change", args=[run.public_id])
        assert link in other
        assert client.get(link)["Location"] == reverse("admin:backtests_run_change", args=[run.pk])
