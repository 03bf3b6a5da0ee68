"""Checks of whether a backtest looks ahead, from the service to evidence, page and command."""

import json
import time
from io import StringIO
from threading import Thread

import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from backtests import jobs, services
from backtests.jobs import backtest, causality
from backtests.jobs.lease import Lease
from backtests.models import Run
from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput, NotFound, TooMuch
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import selectors as registry
from registry import services as registering
from registry.jobs import admit_version
from registry.lifecycle import Stage, VersionStatus
from registry.models import Evidence
from strategies.pipeline import TargetWeights
from tests.backtests.test_admin import login, page, press, said
from tests.backtests.test_commands import refused
from tests.backtests.test_evidence import admitted
from tests.factories.accounts import account
from tests.factories.backtests import (
    AT,
    STRATEGY,
    bars_dataset,
    queued,
    quotes_dataset,
    run_row,
    swept,
    work_off,
)
from tests.factories.clients import client
from tests.factories.registry import model_version

pytestmark = pytest.mark.django_db(transaction=True)
POLICY = """
testing: {gates: [{kind: artifact_scan}]}
staging:
  gates: [{kind: backtest, minimum: {n_bars: 100}}, {kind: causality, minimum: {n_cuts: 8}}]
  approvals: {number: 1}
production: {approvals: {number: 2}}
"""
BUY = {"signals": [{"kind": "buy_and_hold"}], "portfolio": {"kind": "equal_weight"}}


def check(run, actor=None):
    """Ask for a check, and do what workers do of it."""
    made = services.check_causality(
        run_id=run.public_id, actor=actor or run.requested_by, at=AT, reason="Before staging."
    )
    return work_off(made)


def by_the_next_close(spec, market):
    """Hold whatever rises by the next bar: what no strategy can know."""
    decided = backtest.compose(
        backtest.StrategySpec.model_validate(spec.strategy), market.history, start=market.start
    )
    close = market.history.close
    rises = np.roll(close, -1, axis=0) > close
    return TargetWeights(
        np.where(rises, 0.3, 0.0), decided.symbols, 0, close.shape[0], decided.spec
    )


@pytest.fixture
def peeking(monkeypatch):
    """Plant a look at the next bar where the platform decides."""
    monkeypatch.setattr(backtest, "decide", by_the_next_close)
    monkeypatch.setattr(causality, "decide", by_the_next_close)


class TestCheckCausality:
    def test_finds_nothing_in_a_strategy_of_the_platform(self, finished):
        made = check(finished)

        found = made.summary["causality"]
        assert (made.status, made.kind, made.reproduces) == (
            "succeeded", "causality_check", finished,
        )  # fmt: skip
        assert found["of"] == str(finished.public_id)
        assert (found["n_differing"], found["first_difference"]) == (0, -1)
        assert 8 <= found["n_cuts"] == len(found["cuts"]) <= 37
        assert found["n_futures"] == 2 * found["n_cuts"]
        assert (found["seed"], found["fills_look_ahead"]) == (str(made.seed), 0)
        assert found["n_responding"] == found["n_cuts"]
        assert found["n_bars"] == finished.summary["n_bars"]
        assert 1 < found["n_decisions"] <= found["n_bars"]
        assert made.artifacts == {}

    def test_has_no_seed_while_it_can_be_taken_back(self, finished):
        made = services.check_causality(
            run_id=finished.public_id, actor=finished.requested_by, at=AT
        )

        assert made.seed is None
        assert work_off(made).seed is not None

    def test_is_repeated_by_its_own_seed(self, finished):
        made = check(finished)

        with Lease(Run.objects.get(pk=made.pk)) as lease:
            again = causality.compute(Run.objects.with_dataset().get(pk=made.pk), lease)

        assert again["result_digest"] == made.result_digest
        assert again["summary"]["causality"] == made.summary["causality"]

    def test_cuts_where_no_author_chooses(self, finished):
        """A capital one dollar larger is another result, and an author has many dollars."""
        found = [check(finished).summary["causality"] for _ in range(2)]

        assert found[0]["of"] == found[1]["of"]
        assert found[0]["cuts"] != found[1]["cuts"]

    def test_refuses_what_takes_too_much_memory(self, finished, settings):
        settings.CAUSALITY_MAX_BYTES = 1000

        made = check(finished)

        assert (made.status, made.result_digest) == ("failed", "")
        assert "CROWETRADE_CAUSALITY_MAX_MB" in made.problem["detail"]

    def test_fails_where_fills_are_at_the_close_that_decided_them(self, finished):
        run = work_off(queued(finished.requested_by, fills={"at": "same_close_with_look_ahead"}))

        made = check(run)

        found = made.summary["causality"]
        assert made.status == "failed"
        assert made.problem["type"].endswith("looks-ahead")
        assert made.problem["detail"].startswith("Orders are filled at the close they were decided")
        assert found["fills_look_ahead"] == 1
        assert found["n_differing"] >= 1
        assert found["difference"]["what"] == "fill"

    def test_finds_nothing_where_latency_puts_fills_at_a_later_close(self, finished):
        fills = {"at": "same_close_with_look_ahead", "latency_bars": 1}
        run = work_off(queued(finished.requested_by, fills=fills))
        plain = work_off(queued(finished.requested_by, fills={"at": "next_close"}))

        assert run.artifacts["fills.parquet"] == plain.artifacts["fills.parquet"]
        assert check(run).summary["causality"]["fills_look_ahead"] == 0
        assert check(run).status == "succeeded"
        assert not any("Look-ahead" in one["text"] for one in run.summary["caveats"])

    @pytest.mark.parametrize("more", [{"start": "2024-02-01"}, {"end": "2024-03-01"}, {}])
    def test_takes_the_window_of_the_run(self, finished, more):
        run = work_off(queued(finished.requested_by, strategy=BUY, **more))

        found = check(run).summary["causality"]

        assert (found["n_differing"], found["n_bars"]) == (0, run.summary["n_bars"])

    def test_takes_quotes(self, owner, transactional_db, tmp_path):
        dataset = quotes_dataset(tmp_path, owner)
        run = work_off(queued(owner, dataset.name))

        assert check(run).summary["causality"]["n_differing"] == 0

    def test_finds_a_look_at_the_next_bar(self, peeking, finished):
        made = check(finished)

        found = made.summary["causality"]
        first = found["difference"]
        assert made.status == "failed"
        assert made.result_digest
        assert found["n_differing"] > 0
        assert (first["what"], found["first_difference"]) == ("target", first["bar"])
        assert first["bar"] <= first["cut"]
        assert made.problem["type"].endswith("looks-ahead")
        assert made.problem["detail"] == (
            f"With other bars after {first['cut_at']} the target of {first['at']} (bar "
            f"{first['bar']}) is another: it was decided by bars still to come. So it is at "
            f"{found['n_differing']} of {found['n_cuts']} cuts."
        )

    def test_is_a_failed_reproduction_where_the_run_comes_out_otherwise(self, finished):
        Run.objects.filter(pk=finished.pk).update(result_digest="d" * 64)

        made = check(finished)

        assert (made.status, list(made.summary)) == ("failed", ["reproduction", "engine_version"])
        assert made.summary["reproduction"]["is_identical"] is False
        assert made.problem["type"].endswith("other-result")
        assert "manage.py reproduce" in made.problem["detail"]

    def test_counts_no_trial(self, finished):
        from backtests.models import TrialBatch

        before = TrialBatch.objects.count()

        check(finished)

        assert TrialBatch.objects.count() == before

    def test_is_told_once(self, finished):
        made = check(finished)

        told = AuditEvent.objects.filter(object_id=str(made.public_id)).order_by("id")
        assert [event.verb.rpartition(".")[2] for event in told] == [
            "queued", "started", "succeeded",
        ]  # fmt: skip
        assert json.loads(told[0].canonical)["after"]["checks"] == str(finished.public_id)
        assert told[0].reason == "Before staging."

    def test_of_a_reproduction_or_a_check_is_of_their_run(self, finished):
        owner = finished.requested_by
        again = services.reproduce_run(run_id=finished.public_id, actor=owner, at=AT)

        one = services.check_causality(run_id=again.public_id, actor=owner, at=AT)
        other = services.check_causality(run_id=one.public_id, actor=owner, at=AT)

        assert one.reproduces == other.reproduces == finished

    def test_is_not_reproduced_itself(self, finished):
        made = check(finished)

        with pytest.raises(InvalidInput, match="check the run it is of once more"):
            services.reproduce_run(run_id=made.public_id, actor=finished.requested_by, at=AT)

    def test_refuses_a_search_and_says_what_can_be_checked(self, owner, data):
        with pytest.raises(InvalidInput, match=r"A sweep cannot be checked .* a backtest can"):
            check(swept(owner))

    @pytest.mark.parametrize("status", ["queued", "failed", "cancelled"])
    def test_refuses_what_has_not_succeeded(self, tiny, owner, status):
        with pytest.raises(Conflict, match=f"The run is {status}; only a backtest that succeeded"):
            check(run_row(tiny, owner, status))

    def test_is_for_those_who_queue_runs(self, finished):
        with pytest.raises(Forbidden):
            check(finished, account(Role.AUDITOR, "ada"))

    def test_of_none_is_not_found(self, owner):
        with pytest.raises(NotFound):
            services.check_causality(
                run_id="00000000-0000-0000-0000-000000000000", actor=owner, at=AT
            )

    def test_counts_as_a_run_of_its_requester(self, finished, settings):
        settings.RUN_MAX_ACTIVE_PER_USER = 1
        queued(finished.requested_by)

        with pytest.raises(TooMuch):
            check(finished)


class TestEvidence:
    @pytest.fixture
    def measured(self, owner, transactional_db, tmp_path):
        """A backtest of a version's file."""
        bars_dataset(tmp_path, owner, n_days=120)
        admitted(owner, json.dumps(STRATEGY).encode())
        return work_off(queued(owner, strategy="models:/crossing/1"))

    def handed_in(self, run):
        made = check(run)
        jobs.hand_in_evidence(run_id=made.public_id)
        return Evidence.objects.get(kind="causality")

    def test_is_handed_in(self, measured):
        piece = self.handed_in(measured)

        assert piece.is_measured
        assert piece.figures["n_differing"] == 0
        assert piece.figures["first_difference"] == -1
        assert piece.figures["responding_share"] == 1.0
        assert piece.figures["of"] == str(measured.public_id)
        assert piece.digests["artifact"] == measured.tested_digest
        assert piece.digests["data"] == measured.dataset.digest

    def test_is_handed_in_of_what_looks_ahead(self, peeking, measured):
        piece = self.handed_in(measured)

        assert piece.figures["n_decided_ahead"] == piece.figures["n_differing"] > 0
        assert piece.figures["first_difference"] >= 0

    def test_is_of_the_strategy_however_its_file_is_written(self, peeking, measured):
        registering.store_policy(
            name="default", text=POLICY, actor=account(Role.ADMIN), at=AT, reason="For this test."
        )
        jobs.hand_in_evidence(run_id=measured.public_id)
        first = self.handed_in(measured).version
        rewritten = model_version(
            measured.requested_by, model=first.registered_model, status=VersionStatus.PENDING,
            content=json.dumps(STRATEGY, indent=1).encode() + b"\n",
        )  # fmt: skip
        admit_version(version_id=rewritten.public_id)
        run = work_off(queued(measured.requested_by, strategy="models:/crossing/2"))
        jobs.hand_in_evidence(run_id=run.public_id)

        answer = client(measured.requested_by).get(
            f"/api/v1/versions/{rewritten.public_id}/promotions/?target=staging"
        )

        gates = {gate["name"]: gate for gate in answer.json()["report"]["gates"]}
        assert rewritten.digest != first.digest
        assert gates["causality"]["outcome"] == "not met"
        assert (
            f"of {measured.public_id}, the same computation as {run.public_id}"
            in gates["causality"]["reason"]
        )

    def test_says_where_fills_are_at_the_close_that_decided_them(self, measured):
        run = work_off(
            queued(
                measured.requested_by, strategy="models:/crossing/1",
                fills={"at": "same_close_with_look_ahead"},
            )
        )  # fmt: skip
        for one in (measured, run):
            jobs.hand_in_evidence(run_id=one.public_id)

        piece = self.handed_in(run)

        told = Evidence.objects.filter(kind="backtest").order_by("id")
        assert [one.figures["fills_look_ahead"] for one in told] == [0, 1]
        assert piece.figures["fills_look_ahead"] == 1
        assert piece.figures["n_differing"] >= 1
        assert piece.figures["n_decided_ahead"] == 0

    def test_is_handed_in_as_a_failed_reproduction_where_it_comes_out_otherwise(self, measured):
        Run.objects.filter(pk=measured.pk).update(result_digest="d" * 64)
        made = check(measured)

        jobs.hand_in_evidence(run_id=made.public_id)

        (piece,) = Evidence.objects.filter(source=f"backtests.run:{made.public_id}")
        assert (piece.kind, piece.figures["is_identical"]) == ("reproduction", False)
        assert piece.figures["of"] == str(measured.public_id)
        assert piece.figures["is_same_code"] is True

    def test_of_other_code_is_handed_in_as_one_that_says_nothing(self, measured):
        Run.objects.filter(pk=measured.pk).update(result_digest="d" * 64, code_digest="c" * 64)
        made = check(measured)

        jobs.hand_in_evidence(run_id=made.public_id)

        assert Evidence.objects.get(kind="reproduction").figures["is_same_code"] is False

    @pytest.mark.parametrize(
        ("is_planted", "outcome", "words"),
        [(False, "met", "n_cuts "), (True, "not met", "it looks ahead: what was decided before a")],
    )
    def test_decides_its_gate(self, owner, request, is_planted, outcome, words):
        registering.store_policy(
            name="default", text=POLICY, actor=account(Role.ADMIN), at=AT, reason="For this test."
        )
        if is_planted:
            request.getfixturevalue("peeking")
        measured = request.getfixturevalue("measured")
        jobs.hand_in_evidence(run_id=measured.public_id)
        version = self.handed_in(measured).version

        report = registry.judge(version, Stage.STAGING, at=timezone.now()).report

        (result,) = [one for one in report.results if one.name == "causality"]
        assert result.outcome == outcome
        assert result.reason.startswith(words)
        assert result.reason.endswith(f"of {measured.public_id}, which is evidence of: backtest")


class TestOverRest:
    def test_queues_a_check(self, finished):
        api = client(finished.requested_by)

        answer = api.post(f"/api/v1/runs/{finished.public_id}/check-causality/", {"reason": "x"})

        made = Run.objects.get(kind="causality_check")
        assert answer.status_code == 201
        assert answer["Location"] == f"/api/v1/runs/{made.public_id}/"
        assert answer.json()["reproduces"] == str(finished.public_id)

    def test_refuses_with_a_problem(self, owner, data):
        answer = client(owner).post(f"/api/v1/runs/{swept(owner).public_id}/check-causality/")

        assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
        assert "a backtest can" in answer.json()["detail"]


class TestOnTheCommandLine:
    @pytest.fixture(autouse=True)
    def _console(self, transactional_db):
        from django.contrib.auth.models import Group

        Group.objects.get_or_create(name="admin")

    def test_refuses_in_one_line(self, owner, data):
        assert "a backtest can" in refused("check_causality", swept(owner).public_id)

    def test_says_that_nothing_was_found(self, finished):
        answer = self.answer_of(finished)

        assert answer["causality"]["n_differing"] == 0
        assert (answer["status"], answer["problem"]) == ("succeeded", None)

    def test_ends_with_1_where_it_looks_ahead(self, peeking, finished):
        with pytest.raises(SystemExit) as end:
            self.answer_of(finished)

        assert end.value.code == 1
        assert Run.objects.get(kind="causality_check").status == "failed"

    def answer_of(self, run):
        """Return what the command answers, with a worker at its side."""
        out = StringIO()
        worker = Thread(target=take_next_check)
        worker.start()
        try:
            call_command("check_causality", str(run.public_id), "--json", stdout=out)
        finally:
            worker.join()
        return json.loads(out.getvalue())


def take_next_check():
    """Do what a worker does of the next check that is queued."""
    try:
        for _ in range(200):
            if made := Run.objects.filter(kind="causality_check", status="queued").first():
                work_off(made)
                return
            time.sleep(0.05)
    finally:
        connection.close()


class TestOnThePage:
    def test_a_button_queues_it(self, finished):
        browser = login(finished.requested_by)

        assert "Check causality" in browser.get(page(finished)).content.decode()
        answer = press(browser, finished, "check_causality", reason="Before staging.")

        made = Run.objects.get(kind="causality_check")
        assert said(answer) == ["The check is queued."]
        assert (made.reproduces, made.reason) == (finished, "Before staging.")

    def test_a_button_queues_a_reproduction(self, finished):
        browser = login(finished.requested_by)

        answer = press(browser, finished, "reproduce", reason="Before staging.")

        made = Run.objects.get(kind="reproduction")
        assert said(answer) == ["The reproduction is queued."]
        assert (made.reproduces, made.reason) == (finished, "Before staging.")
        html = browser.get(page(check(finished))).content.decode()
        assert reverse("admin:backtests_run_reproduce", args=[made.pk + 1]) not in html

    def test_offers_none_where_none_is_allowed(self, owner, data):
        browser = login(owner)

        for run in (swept(owner), run_row(data, owner, "failed")):
            assert "Check causality" not in browser.get(page(run)).content.decode()

    def test_run_and_check_lead_to_each_other(self, finished):
        made = check(finished)
        browser = login(finished.requested_by)

        html = browser.get(page(finished)).content.decode()
        other = browser.get(page(made)).content.decode()

        assert f'href="{page(made)}"' in html
        assert "Checked, no look-ahead found at any of" in html
        assert "<strong>Found no look-ahead</strong> at" in other
        assert f'href="{page(finished)}"' in other
        assert (
            "causality check of moving average cross on tiny"
            in browser.get(reverse("admin:backtests_run_changelist")).content.decode()
        )

    def test_tells_what_looks_ahead(self, peeking, finished):
        made = check(finished)
        browser = login(finished.requested_by)

        assert "Looks ahead at" in browser.get(page(finished)).content.decode()
        assert "it was decided by bars still to come" in browser.get(page(made)).content.decode()
