"""Asking for replays, and what people and programs see of them."""

import json
from io import StringIO

import pytest
import yaml
from django.test import Client
from django.utils import timezone

from backtests import selectors, services
from backtests.lifecycle import RunStatus
from backtests.management.commands.run import Command
from backtests.models import Run
from crowetrade_site.core.errors import Conflict, DomainError, Gone, InvalidInput, NotFound
from tests.factories.accounts import account
from tests.factories.backtests import AT, dataset_row, run_row
from tests.factories.clients import client
from tests.factories.replays import document, finished_arms, queued_replay, strategy
from tests.factories.working import execute

pytestmark = pytest.mark.django_db(transaction=True)
STEPS_UP = "benjamini_hochberg"


@pytest.fixture
def arms(data, owner):
    return finished_arms(owner)


@pytest.fixture
def rows(owner):
    """Runs that only look as if they had ended well."""
    dataset = dataset_row(owner)
    told = {"n_bars": 60, "first_at": "2024-01-01T00:00:00Z", "last_at": "2024-03-01T00:00:00Z"}
    files = {"curves.parquet": {"digest": "d" * 64, "bytes": 1}}

    def row(**columns) -> Run:
        spec = {
            "kind": "backtest", "dataset": dataset.name, "strategy": strategy(5),
            "currency": columns.pop("currency", "USD"),
        }  # fmt: skip
        usual = {"status": "succeeded", "spec": spec, "artifacts": files, "summary": told}
        return run_row(dataset, owner, **usual | columns)

    return row


def login(user) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def refused(owner, given: dict, kind: type[DomainError] = InvalidInput) -> str:
    """Return what a refusal says; nothing is queued by then."""
    n = Run.objects.count()
    with pytest.raises(kind) as refusal:
        services.queue_run(document=given, actor=owner, at=AT)
    assert Run.objects.count() == n
    return refusal.value.detail


class TestSpec:
    def test_is_stored_with_its_runs_pinned_and_their_market(self, rows, owner):
        one, other = rows(), rows()

        run = queued_replay(owner, {"b": one, "a": other})

        assert run.spec["replay"]["runs"] == {
            "a": f"{other.public_id}@sha256:{'e' * 64}", "b": f"{one.public_id}@sha256:{'e' * 64}",
        }  # fmt: skip
        assert run.spec["replay"]["control"] == "b", "the first that was written"
        assert (run.dataset, run.spec["strategy"]) == (one.dataset, one.spec["strategy"])
        assert set(run.spec) == {"kind", "dataset", "strategy", "currency", "seed", "replay"}

    def test_has_four_policies_unless_told(self, rows, owner):
        given = document({"a": rows(), "b": rows()})
        del given["replay"]["policies"]

        run = services.queue_run(document=given, actor=owner, at=AT)

        kinds = [one["kind"] for one in run.spec["replay"]["policies"]]
        assert kinds == ["thompson_normal", "epsilon_greedy", "leader", "uniform"]

    def test_is_queued_again_as_it_was_stored_and_as_it_is_shown(self, rows, owner):
        run = queued_replay(owner, {"a": rows(), "b": rows()})

        for again in (run.spec, yaml.safe_load(selectors.spec_text(run))):
            second = services.queue_run(document=again, actor=owner, at=AT)
            assert second.spec_digest == run.spec_digest

    def test_takes_the_beginning_of_an_id(self, rows, owner):
        one, other = rows(), rows()
        given = document({"a": one, "b": other})
        given["replay"]["runs"]["a"] = str(one.public_id)[:13]

        run = services.queue_run(document=given, actor=owner, at=AT)

        assert run.spec["replay"]["runs"]["a"].startswith(str(one.public_id))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"runs": {}}, "replay.runs"),
            ({"control": "c"}, "control 'c' is none of the runs"),
            ({"repetitions": 1}, "replay.repetitions"),
            ({"polices": []}, "replay.polices: unknown key"),
            ({"policies": ["thompson"]}, "There is no policy 'thompson'"),
            ({"policies": ["leader", {"kind": "leader"}]}, "the same as an earlier one"),
            ({"policies": [{"epsilon": 0.1}]}, "has no kind"),
            ({"policies": [{"kind": "leader", "seed": 3}]}, "the seed is the run's"),
            ({"policies": [{"kind": "epsilon_greedy", "epsilon": "x"}]}, "could not convert"),
            ({"policies": [{"kind": "leader", "window": 10**9}]}, "more than 10,000"),
            ({"policies": ["thompson_beta"]}, "rewards from 0 to 1"),
            ({"analysis": {"methd": "asymptotic"}}, "replay.analysis.methd: unknown key"),
            ({"analysis": {"method": "betting"}}, "needs the bound"),
            ({"repetitions": 100_000, "policies": [
                {"kind": "epsilon_greedy", "epsilon": at / 100} for at in range(12)
            ] }, None),
        ],
        ids=str,
    )  # fmt: skip
    def test_refuses_what_no_worker_could_do(self, rows, owner, change, words):
        given = document({"a": rows(), "b": rows()})
        given["replay"] |= change
        if words is None:  # 70.8 million decisions are within what a run may take
            assert services.queue_run(document=given, actor=owner, at=AT)
            return

        assert words in refused(owner, given)

    def test_refuses_more_decisions_than_a_run_may_take(self, rows, owner):
        told = {"n_bars": 100_000, "first_at": "2024-01-01", "last_at": "2024-03-01"}
        runs = {label: rows(summary=told) for label in "ab"}

        assert "more than 300,000,000" in refused(owner, document(runs, repetitions=100_000))

    def test_refuses_a_market_of_its_own(self, rows, owner):
        given = document({"a": rows(), "b": rows()})

        assert "leave it out of a replay" in refused(owner, given | {"dataset": "other"})
        assert "a replay has no costs" in refused(owner, given | {"costs": {}})
        assert "dataset: Field required" in refused(owner, {"strategy": "buy_and_hold"})


class TestRuns:
    def test_must_be_there(self, rows, owner):
        given = document({"a": rows(), "b": rows()})
        given["replay"]["runs"]["b"] = "00000000-0000-4000-8000-000000000000"

        refused(owner, given, NotFound)

    @pytest.mark.parametrize("status", ["queued", "running", "failed", "cancelled"])
    def test_must_have_succeeded(self, rows, owner, status):
        given = document({"a": rows(), "b": rows(status=status)})

        assert f"is {status}" in refused(owner, given, Conflict)

    def test_must_have_their_files(self, rows, owner):
        given = document({"a": rows(), "b": rows(artifacts_expired_at=AT)})

        assert "were removed" in refused(owner, given, Gone)

    def test_must_be_what_the_spec_pins(self, rows, owner):
        one, other = rows(), rows()
        given = document({"a": one, "b": other})
        given["replay"]["runs"]["b"] = f"{other.public_id}@sha256:{'f' * 64}"

        assert "the spec pins" in refused(owner, given, Conflict)

    def test_must_have_an_account(self, rows, owner):
        assert "has no account" in refused(owner, document({"a": rows(), "b": rows(artifacts={})}))

    def test_must_differ(self, rows, owner):
        one = rows()

        assert "are the same run" in refused(owner, document({"a": one, "b": one}))

    def test_must_have_one_currency(self, rows, owner):
        given = document({"a": rows(), "b": rows(currency="EUR")})

        assert "a is in USD, b in EUR" in refused(owner, given)

    def test_must_overlap(self, rows, owner):
        later = {"n_bars": 60, "first_at": "2025-01-01", "last_at": "2025-03-01"}
        short = {"n_bars": 12, "first_at": "2024-01-01", "last_at": "2024-03-01"}

        assert "no bar in common" in refused(
            owner, document({"a": rows(), "b": rows(summary=later)})
        )
        assert "needs 30" in refused(owner, document({"a": rows(), "b": rows(summary=short)}))


class TestEstimate:
    def test_counts_no_trial(self, rows, owner):
        found = services.estimate_run(document=document({"a": rows(), "b": rows()}), actor=owner)

        assert (found.n_trials, found.cost) == (0, 0.0)
        assert found.seconds > 0.0

    def test_counts_what_a_correction_takes(self, rows, owner):
        """Whole analyses take longer than intervals, and steps up or down as many as there are."""
        arms = {name: rows() for name in "abcd"}

        def seconds(**analysis) -> float:
            asked = document(arms, analysis=analysis, repetitions=500)
            return services.estimate_run(document=asked, actor=owner).seconds

        plain = seconds(method="asymptotic")
        steps = {how: seconds(method="asymptotic", correction=how) for how in ("holm", STEPS_UP)}
        whole = {
            how: seconds(method="fixed_horizon", correction=how) for how in ("dunnett", STEPS_UP)
        }

        assert steps["holm"] == steps[STEPS_UP] > plain
        assert min(whole.values()) > steps["holm"]


class TestFeatures:
    def test_go_by_turbulence_unless_told(self, rows, owner):
        features = {"trend": {"kind": "momentum"}, "wild": {"kind": "turbulence", "of": "a"}}

        run = queued_replay(
            owner, {"a": rows(), "b": rows()}, features=features, policies=["lin_ucb"]
        )

        assert run.spec["replay"]["regimes"] == "wild"
        assert run.spec["replay"]["features"]["trend"] == {
            "kind": "momentum", "periods": 20, "of": "",
        }  # fmt: skip

    def test_are_no_part_of_a_spec_without_any(self, rows, owner):
        run = queued_replay(owner, {"a": rows(), "b": rows()})

        assert not {"features", "regimes"} & set(run.spec["replay"])

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"policies": ["lin_ucb"]}, "replay.features has none"),
            ({"features": {"x": {"kind": "trend"}}}, "replay.features.x"),
            ({"features": {"x": {"kind": "momentum", "periods": 1}}}, "periods"),
            ({"features": {"x": {"kind": "momentum", "of": "c"}}}, "none of the runs"),
            ({"features": {"x": {"kind": "momentum"}}, "regimes": "y"}, "none of the features"),
            (
                {
                    "features": {"calm": {"kind": "turbulence"}},
                    "policies": [{"kind": "lin_ucb", "features": ["clam"]}],
                },
                "'clam'",
            ),
            (
                {
                    "features": {"calm": {"kind": "turbulence"}},
                    "policies": [{"kind": "lin_ucb", "features": ["calm", "calm"]}],
                },
                "each of them once",
            ),
            (
                {
                    "features": {"calm": {"kind": "turbulence"}},
                    "policies": [{"kind": "linear_thompson", "ridge": 0}],
                },
                "ridge",
            ),
        ],
    )
    def test_are_refused_where_nobody_could_use_them(self, rows, owner, change, words):
        assert words in refused(owner, document({"a": rows(), "b": rows()}, **change))

    def test_need_a_dataset_that_there_is(self, rows, owner):
        features = {"vix": {"kind": "series", "series": "nowhere/VIX"}}

        given = document({"a": rows(), "b": rows()}, features=features)

        assert "nowhere" in refused(owner, given, NotFound)

    def test_are_shown_by_regime_everywhere(self, arms, owner):
        features = {"wild": {"kind": "turbulence", "periods": 10}}
        asked = document(arms, features=features, policies=["linear_thompson", "uniform"])
        queued = services.queue_run(document=asked, actor=owner, at=AT)
        run = Run.objects.with_dataset().get(pk=execute(queued).pk)
        assert run.status == RunStatus.SUCCEEDED, run.problem

        page = login(account("auditor")).get(f"/admin/backtests/run/{run.pk}/change/")
        body = client(owner).get(f"/api/v1/runs/{run.public_id}/").json()["replay"]
        out = StringIO()
        command = Command(stdout=out)
        command.as_json = False
        command.tell_replay(selectors.get_replay(run))

        for html in (page.content.decode(), selectors.render_report(run)):
            for words in ("Policies by regime", "wild 1", "not known yet", "its own, wild"):
                assert words in html
        assert [row["regime"] for row in body["regimes"]] == ["wild 0", "wild 1", "not known yet"]
        by_row = run.summary["replay"]["policies"][0]["by_regime"]
        told = body["regimes"][1]["policies"][0]
        assert told["name"] == "linear_thompson"
        assert told["gain"] == by_row[1]["gain"]
        assert sum(told["shares"].values()) == pytest.approx(1.0)
        assert "wild 1" in out.getvalue()


class TestShown:
    def test_everywhere(self, arms, owner):
        run = Run.objects.with_dataset().get(pk=execute(queued_replay(owner, arms)).pk)
        assert run.status == RunStatus.SUCCEEDED, run.problem
        shown = selectors.get_replay(run)

        assert shown.verdict.startswith("An experiment would have")
        assert None not in (shown.regret, shown.gain, shown.sequence)
        assert selectors.describe_run(run) == "replay of hold and quick, slow"
        page = login(account("auditor")).get(f"/admin/backtests/run/{run.pk}/change/")
        for html in (page.content.decode(), selectors.render_report(run)):
            assert page.status_code == 200
            for words in (
                shown.verdict,
                shown.repeated["sentence"],
                "Why pairs",
                "What could be seen",
                "epsilon_greedy",
            ):
                assert words in html
            assert html.count('class="ct-drawing"') == 3
        body = client(owner).get(f"/api/v1/runs/{run.public_id}/").json()
        assert body["replay"]["sentence"] == shown.verdict
        assert len(body["replay"]["policies"]) == 2
        assert body["progress"]["unit"] == "policies"
        assert body["replay"]["repeated"] == run.summary["replay"]["repeated"]
        assert body["study"] is None

    def test_on_the_command_line(self, arms, owner):
        run = execute(queued_replay(owner, arms))
        text, data = StringIO(), StringIO()

        for out, as_json in ((text, False), (data, True)):
            command = Command(stdout=out)
            command.as_json = as_json
            command.conclude(run)

        assert "vs equal shares" in text.getvalue()
        assert "± " in text.getvalue()
        assert json.loads(data.getvalue())["replay"]["policies"][0]["name"] == "thompson_normal"

    def test_counts_winners_among_equals_as_false_alarms(self, arms, owner):
        run = execute(queued_replay(owner, arms, aa=True, repetitions=40))
        again = run.summary["replay"]["repeated"]
        shown = selectors.get_replay(run)
        assert shown.verdict.startswith(f"{again['n_winners']} of 40 experiments without a diff")
        assert shown.is_answer

        again |= {"n_winners": 30, "share": 0.75, "lower": 0.59, "upper": 0.87}
        shown = selectors.get_replay(run)

        assert "75 % (59 % to 87 %) false alarms, more than the plan allows (5 %)" in shown.verdict
        assert shown.is_answer is False

    def test_says_that_an_old_one_counted_no_false_alarms(self, arms, owner):
        run = execute(queued_replay(owner, arms, aa=True))
        del run.summary["replay"]["repeated"]

        shown = selectors.get_replay(run)

        assert shown.verdict.startswith("No false alarms were counted")
        assert (shown.is_answer, shown.repeated) == (None, None)

    def test_without_drawings_once_its_files_are_gone(self, arms, owner):
        run = execute(queued_replay(owner, arms))
        run.artifacts_expired_at = timezone.now()

        shown = selectors.get_replay(run)

        assert (shown.regret, shown.gain, shown.sequence) == (None, None, None)
        assert shown.policies

    def test_not_of_other_runs(self, rows, owner):
        assert selectors.get_replay(rows()) is None
        body = client(owner).get(
            f"/api/v1/runs/{queued_replay(owner, {'a': rows(), 'b': rows()}).public_id}/"
        )
        assert body.json()["replay"] is None
