"""Replays as a worker does them: the same numbers again, refusals in words, nothing counted."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from backtests import services
from backtests.jobs.datasets import open_dataset
from backtests.jobs.knowing import UNKNOWN, load_known, regimes_of
from backtests.jobs.pairing import load_paired
from backtests.lifecycle import RunStatus
from backtests.models import Run, TrialBatch
from backtests.runspec import ReplaySpec
from backtests.selectors import resolve_benchmark
from crowetrade_site.core import storage
from experiments.simulation import momentum, standardized, turbulence
from tests.factories.backtests import AT, bars_dataset, queued
from tests.factories.replays import document, finished_arms, queued_replay
from tests.factories.working import execute, verbs

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def arms(data, owner):
    return finished_arms(owner)


def table_of(run: Run, name: str):
    return pq.read_table(storage.locate(run.artifacts[name]["digest"]))


class TestReplay:
    def test_tells_answer_policies_and_arms(self, arms, owner):
        run = execute(queued_replay(owner, arms))

        assert run.status == RunStatus.SUCCEEDED, run.problem
        assert verbs(run) == ["queued", "started", "succeeded"]
        found = run.summary["replay"]
        assert [arm["arm"] for arm in found["arms"]] == ["hold", "quick", "slow"]
        assert [row["name"] for row in found["policies"]] == [
            "thompson_normal", "epsilon_greedy, epsilon 0.1",
        ]  # fmt: skip
        assert {one["arm"] for one in found["answer"]["comparisons"]} == {"quick", "slow"}
        assert (run.progress_done, run.progress_total) == (2, 2)
        assert set(run.artifacts) == {"policies.parquet", "returns.parquet", "sequence.parquet"}

    def test_pairs_returns_between_the_bars_that_all_runs_have(self, arms, owner):
        run = execute(queued_replay(owner, arms))

        found, returns = run.summary["replay"], table_of(run, "returns.parquet")
        equity = {
            label: pq.read_table(storage.locate(arm.artifacts["curves.parquet"]["digest"]))
            for label, arm in arms.items()
        }
        stamps = set.intersection(*(set(one["ts"].to_pylist()) for one in equity.values()))
        assert returns["ts"].to_pylist() == sorted(stamps)[1:]
        assert found["n_common_bars"] == len(stamps)
        for row in found["arms"]:
            assert row["n_bars"] - row["n_left_out"] == len(stamps)
            curve = equity[row["arm"]]
            known = dict(zip(curve["ts"].to_pylist(), curve["equity"].to_numpy(), strict=True))
            levels = np.array([known[at] for at in sorted(stamps)])
            np.testing.assert_allclose(returns[row["arm"]].to_numpy(), levels[1:] / levels[:-1] - 1)

    def test_turns_what_policies_saw_back_into_returns(self, arms, owner):
        run = execute(queued_replay(owner, arms, policies=["uniform"], repetitions=400))

        found = run.summary["replay"]
        row, curves = found["policies"][0], table_of(run, "policies.parquet")
        assert row["gain"] == pytest.approx(0.0, abs=5 * row["gain_error"])
        assert row["happened_reward"] == pytest.approx(
            found["uniform_total"], abs=5 * row["happened_error"]
        )
        assert curves["reward_mean"][-1].as_py() == row["reward"]
        bands = [curves[f"regret_{level}"].to_numpy() for level in ("p5", "p50", "p95")]
        assert (np.diff(bands, axis=0) >= 0.0).all()

    def test_gives_the_same_bytes_again(self, arms, owner):
        first, second = (execute(queued_replay(owner, arms)) for _ in range(2))
        other = execute(
            services.queue_run(document=document(arms) | {"seed": 8}, actor=owner, at=AT)
        )

        assert first.result_digest == second.result_digest
        assert first.artifacts == second.artifacts
        assert other.result_digest != first.result_digest

    def test_is_reproduced(self, arms, owner):
        run = execute(queued_replay(owner, arms))

        again = execute(services.reproduce_run(run_id=run.public_id, actor=owner, at=AT))

        assert again.status == RunStatus.SUCCEEDED, again.problem
        assert again.summary["reproduction"]["is_identical"]

    def test_is_done_once(self, arms, owner):
        run = execute(queued_replay(owner, arms))

        assert execute(run).finished_at == run.finished_at
        assert verbs(run) == ["queued", "started", "succeeded"]

    def test_counts_no_trial(self, arms, owner):
        before = TrialBatch.objects.count()

        execute(queued_replay(owner, arms))

        assert TrialBatch.objects.count() == before

    def test_takes_the_means_off(self, arms, owner):
        run = execute(queued_replay(owner, arms, aa=True))

        found, returns = run.summary["replay"], table_of(run, "returns.parquet")
        for row in found["arms"]:
            own = returns[row["arm"]].to_numpy()
            assert own.mean() == pytest.approx(0.0, abs=1e-15)
            assert row["total"] != 0.0, "arms are told as they are"
        assert found["is_centered"]
        assert found["answer"]["comparisons"][0]["estimate"] == pytest.approx(0.0, abs=1e-12)

    def test_fails_where_a_run_is_not_what_was_pinned(self, arms, owner):
        run = queued_replay(owner, arms)
        Run.objects.filter(pk=arms["slow"].pk).update(result_digest="f" * 64)

        run = execute(run)

        assert run.status == RunStatus.FAILED
        assert "replay.runs.slow" in run.problem["detail"]
        assert (run.problem["status"], run.result_digest) == (409, "")

    def test_fails_where_the_files_went_meanwhile(self, arms, owner):
        run = queued_replay(owner, arms)
        Run.objects.filter(pk=arms["slow"].pk).update(artifacts_expired_at=AT)

        run = execute(run)

        assert (run.status, run.problem["status"]) == (RunStatus.FAILED, 410)

    def test_fails_where_too_few_bars_are_common(self, arms, owner):
        late = execute(queued(owner, start="2024-04-01"))
        early = execute(queued(owner, end="2024-05-01"))
        run = queued_replay(owner, {"early": early, "late": late})

        run = execute(run)

        assert run.status == RunStatus.FAILED
        assert "needs 30 in common" in run.problem["detail"]

    def test_leaves_out_bars_that_are_not_common(self, arms, owner):
        late = execute(queued(owner, start="2024-03-01"))

        run = execute(queued_replay(owner, {"hold": arms["hold"], "late": late}))

        rows = {row["arm"]: row for row in run.summary["replay"]["arms"]}
        assert rows["late"]["n_left_out"] == 0
        assert rows["hold"]["n_left_out"] == rows["hold"]["n_bars"] - rows["late"]["n_bars"] > 0

    def test_replays_what_a_study_shows(self, arms, owner):
        from tests.factories.backtests import swept, work_off

        study = work_off(swept(owner))

        run = execute(queued_replay(owner, {"hold": arms["hold"], "best": study}))

        assert run.status == RunStatus.SUCCEEDED, run.problem
        claims = {row["arm"]: row["claim"] for row in run.summary["replay"]["arms"]}
        assert claims == {
            "hold": "",
            "best": f"best of {study.summary['study']['n_trials']} trials",
        }

    def test_pairs_runs_on_several_datasets(self, arms, owner, tmp_path):
        other = bars_dataset(tmp_path, owner, "others", n_days=120, seed=9)
        elsewhere = execute(queued(owner, other.name))

        run = execute(queued_replay(owner, {"hold": arms["hold"], "elsewhere": elsewhere}))

        assert run.status == RunStatus.SUCCEEDED, run.problem
        assert abs(run.summary["replay"]["pairing"][0]["correlation"]) < 0.9


FEATURES = {
    "turbulent": {"kind": "turbulence", "periods": 10},
    "trend": {"kind": "momentum", "periods": 10, "of": "quick"},
    "aaa": {"kind": "series", "series": "tiny/AAA"},
}
CONTEXTUAL = [
    "linear_thompson", {"kind": "lin_ucb", "width": 0.5, "features": ["turbulent"]}, "uniform",
]  # fmt: skip


def with_features(owner, arms, **section) -> Run:
    usual = {"features": FEATURES, "policies": CONTEXTUAL}
    return queued_replay(owner, arms, **usual | section)


class TestFeatures:
    def test_are_seen_by_contextual_policies_and_tell_regimes_apart(self, arms, owner):
        run = execute(with_features(owner, arms))

        assert run.status == RunStatus.SUCCEEDED, run.problem
        found = run.summary["replay"]
        assert [row["name"] for row in found["policies"]] == [
            "linear_thompson", "lin_ucb, features turbulent, width 0.5", "uniform",
        ]  # fmt: skip
        assert [row["features"] for row in found["policies"]] == [
            ["aaa", "trend", "turbulent"], ["turbulent"], [],
        ]  # fmt: skip
        regimes = found["regimes"]
        assert regimes["by"] == "turbulent"
        names = [row["regime"] for row in regimes["rows"]]
        assert names == ["turbulent 0", "turbulent 1", "not known yet"]
        assert sum(row["n_periods"] for row in regimes["rows"]) == found["n_periods"]
        for row in found["policies"]:
            once = sum(one["happened_gain"] for one in row["by_regime"])
            assert once == pytest.approx(row["happened_gain"])
            again = sum(one["gain"] for one in row["by_regime"])
            assert again == pytest.approx(row["gain"])

    def test_give_the_same_bytes_again_and_others_with_another_seed(self, arms, owner):
        first, second = (execute(with_features(owner, arms)) for _ in range(2))
        asked = document(arms, features=FEATURES, policies=CONTEXTUAL) | {"seed": 8}

        other = execute(services.queue_run(document=asked, actor=owner, at=AT))

        assert first.result_digest == second.result_digest
        assert first.artifacts == second.artifacts
        assert other.result_digest != first.result_digest

    def test_leave_other_policies_as_they_were(self, arms, owner):
        without = execute(queued_replay(owner, arms, policies=["uniform"]))

        beside = execute(with_features(owner, arms))

        (alone,), *_, with_others = (
            without.summary["replay"]["policies"], *beside.summary["replay"]["policies"],
        )  # fmt: skip
        assert {name: with_others[name] for name in alone} == alone

    def test_know_the_last_close_before_a_period_and_none_after(self, arms, owner):
        run = execute(with_features(owner, arms))
        section = ReplaySpec.model_validate(run.spec["replay"])
        paired = load_paired(section)

        known = load_known(section, paired)

        dataset = resolve_benchmark("tiny/AAA").dataset
        panel = open_dataset(dataset, ["AAA"])
        begins = np.concatenate([[paired.begin], paired.ends[:-1]])
        closes = panel.fields["close"][:, 0]
        seen = np.array([closes[panel.ts <= begin][-1] for begin in begins])
        np.testing.assert_allclose(known.features["aaa"], standardized(seen), atol=1e-9)
        quick = paired.returns[:, paired.labels.index("quick")]
        np.testing.assert_array_equal(known.features["trend"], momentum(quick, 10))
        mean = paired.returns.mean(axis=1)
        np.testing.assert_array_equal(known.features["turbulent"], turbulence(mean, 10))

    def test_pin_the_dataset_of_a_series(self, arms, owner, tmp_path):
        run = with_features(owner, arms)
        pinned = run.spec["replay"]["features"]["aaa"]["series"]

        bars_dataset(tmp_path, owner, seed=99)  # a newer version of the same name
        run = execute(run)

        assert pinned == f"tiny/AAA@sha256:{run.dataset.digest}"
        assert run.spec["replay"]["features"]["aaa"]["series"] == pinned
        assert run.status == RunStatus.SUCCEEDED, run.problem

    def test_that_nobody_ever_knows_fail_by_their_name(self, arms, owner):
        features = {"slow": {"kind": "momentum", "periods": 5_000}}

        run = execute(with_features(owner, arms, features=features, policies=["lin_ucb"]))

        assert run.status == RunStatus.FAILED
        assert "replay.features.slow" in str(run.problem)


class TestRegimes:
    def test_are_the_values_of_an_indicator_or_the_thirds_of_a_number(self):
        indicator, names = regimes_of("state", np.array([np.nan, 1.0, 2.0, 1.0]))
        thirds, parts = regimes_of("trend", np.arange(9.0))

        assert (indicator.tolist(), names) == ([2, 0, 1, 0], ["state 1", "state 2", UNKNOWN])
        assert thirds.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        assert parts == ["trend low", "trend middle", "trend high"]
