"""The shares of each policy are those of the policy of that name, on the rewards of the plan."""

from typing import get_args

import numpy as np
import pytest

from experiments.bandits import AllocationLimits, ArmStatistics, make_policy
from experiments.bandits.catalog import POLICIES
from experiments.plans import ExperimentPlan
from experiments.plans.allocating import next_weights, policy_of, rewards_of
from experiments.plans.policies import OF_SHARES, SETTINGS, PolicyKind
from experiments.statistics.summaries import PeriodTable
from tests.experiments.plans.test_analysis import DAY, planned

KINDS = [kind for kind in get_args(PolicyKind) if kind != "fixed"]
# Settings that are not the usual ones, of each policy that has any.
SET = {
    "thompson_normal": {"prior": [0.1, 2.0, 3.0, 4.0]},
    "thompson_gaussian": {"scale": 3.0, "prior": [0.2, 0.5]},
    "thompson_bootstrap": {"n_replicates": 40, "prior": [0.0, 2.0]},
    "thompson_beta": {"prior": [30.0, 50.0]},
    "top_two_thompson": {"leader_share": 0.9},
    "ucb1": {"scale": 4.0, "exploration": 9.0},
    "ucb_tuned": {"scale": 9.0},
    "ucb_v": {"scale": 6.0, "bonus": 30.0},
    "kl_ucb": {"c": 3.0},
    "kl_ucb_gaussian": {"scale": 6.0},
    "epsilon_greedy": {"epsilon": 0.4},
    "softmax": {"temperature": 0.7},
    "exp3": {"gamma": 0.3},
}
# What a plan says elsewhere, or not at all.
OURS_TO_SET: dict[str, set[str]] = {
    "top_two_thompson": {"posterior", "prior"}, "exp3": {"alpha", "reward_range"},
}  # fmt: skip
ARMS = [{"name": "a", "control": True}, {"name": "b"}, {"name": "c"}]
OPEN = {"floor": 0.0, "max_step": 1.0}  # nothing between the policy and the shares


def plan_of(kind: str, *, settings: dict | None = None, **metric) -> ExperimentPlan:
    of_shares = {"kind": "proportion"} if kind in OF_SHARES else {}
    bound = {"bound": 9.0} if kind == "exp3" else {}
    return planned(
        design="assigned", arms=ARMS, seed=5,
        metrics=[{"name": "return", "role": "primary", **of_shares, **bound, **metric}],
        allocation={"policy": kind, "policy_settings": settings or {}, **OPEN},
    )  # fmt: skip


def table_of(kind: str) -> PeriodTable:
    """Return outcomes of three arms of which each is a little better than the one before."""
    rng = np.random.default_rng(11)
    period = np.repeat(np.arange(20) * DAY, 30)
    arm = np.tile(np.repeat([0, 1, 2], 10), 20)
    values = rng.normal(0.12 * arm, 1.0)
    if kind in OF_SHARES:
        values = (values > 0.5).astype(float)
    return PeriodTable.of_outcomes(period, arm, values, allocation=np.ones(period.size, int))


def hand_made(kind: str, table: PeriodTable) -> ArmStatistics:
    """Return the rewards of `table_of` once more: shares are equal and never moved in it."""
    if kind in OF_SHARES:
        return ArmStatistics.of_periods(table, 3, period_length=DAY)
    if kind == "exp3":
        third = np.full(table.n_rows, 1.0 / 3.0)
        return ArmStatistics.of_periods(table, 3, period_length=DAY, probabilities=third)
    _, n = table.pivot("n", 3)
    _, total = table.pivot("total", 3)
    _, squares = table.pivot("squares", 3)
    market = (total.sum(axis=1) / n.sum(axis=1))[:, None]
    off, about = total - n * market, squares - 2 * market * total + n * market**2
    scale = np.sqrt(about.sum() / n.sum())
    sums = ArmStatistics(n.sum(axis=0), off.sum(axis=0) / scale, about.sum(axis=0) / scale**2)
    if kind != "thompson_bootstrap":
        return sums
    rng = np.random.default_rng([5, 7])
    weights = rng.poisson(1.0, (20, SET[kind]["n_replicates"])).astype(float)
    replicates = np.stack([n.T @ weights, (off / scale).T @ weights])
    return ArmStatistics(sums.n, sums.total, sums.squares, replicates=replicates)


class TestShares:
    @pytest.mark.parametrize("kind", KINDS)
    def test_are_those_of_the_policy_with_the_settings_of_the_plan(self, kind):
        settings, table = SET.get(kind, {}), table_of(kind)
        ours = dict(settings)
        if kind == "top_two_thompson":
            ours["posterior"] = "normal"
        if kind == "exp3":
            ours["reward_range"] = (-9.0, 9.0)
        rng = np.random.default_rng([5, 7])
        if kind == "thompson_bootstrap":
            rng.poisson(1.0, (20, settings["n_replicates"]))
        pure = make_policy(kind, 3, **ours).allocation_of(hand_made(kind, table), rng)
        limits = AllocationLimits(floor=0.0, cap=1.0, max_step=1.0)

        found = next_weights(plan_of(kind, settings=settings), table, [1 / 3] * 3, number=7)

        assert found == pytest.approx(limits.applied(pure, np.full(3, 1 / 3)), abs=2e-6)

    def test_differ_by_policy_and_settings(self):
        """A policy that quietly ran another one, or equal shares, would have its numbers."""
        found = [
            tuple(next_weights(plan_of(kind, settings=settings), table_of(kind), [1 / 3] * 3,
                               number=7))
            for kind in ("thompson_normal", "thompson_gaussian", "thompson_bootstrap",
                         "thompson_beta", "top_two_thompson", "epsilon_greedy", "softmax", "exp3")
            for settings in ({}, SET[kind])
        ]  # fmt: skip

        assert len(set(found)) == len(found)
        assert (1 / 3,) * 3 not in found

    @pytest.mark.parametrize("kind", KINDS)
    def test_turn_with_the_direction(self, kind):
        up, down = (
            plan_of(kind, settings=SET.get(kind), direction=way) for way in ("increase", "decrease")
        )
        table = table_of(kind)
        mirrored = PeriodTable.of(
            table.period, table.arm, table.allocation, table.n, *(
                (table.n - table.total, table.n - 2 * table.total + table.squares)
                if kind in OF_SHARES else (-table.total, table.squares)
            )
        )  # fmt: skip

        one, other = (
            next_weights(plan, sums, [1 / 3] * 3, number=7)
            for plan, sums in ((up, table), (down, mirrored))
        )

        assert one == pytest.approx(other, abs=2e-6)

    def test_of_exp3_weigh_rewards_by_the_share_that_an_arm_had(self):
        """The better arm had a tenth of the outcomes: sums alone would hide it."""
        arm = np.array([0] * 9 + [1])
        period = np.repeat(np.arange(40) * DAY, 10)
        values = np.tile(0.2 + 0.5 * arm, 40)
        table = PeriodTable.of_outcomes(period, np.tile(arm, 40), values)
        plan = planned(
            design="assigned", allocation={"policy": "exp3", **OPEN},
            metrics=[{"name": "return", "role": "primary", "bound": 1.0}],
        )  # fmt: skip

        sums = rewards_of(plan, table, np.random.default_rng(0))

        assert sums.weighted_n == pytest.approx([400, 400])
        assert sums.weighted_total == pytest.approx([80, 280])
        assert next_weights(plan, table, [0.9, 0.1], number=2)[1] > 0.9


class TestSettings:
    def test_has_the_defaults_of_the_policies(self):
        for kind in KINDS:
            ours = SETTINGS[kind]().model_dump()
            theirs = make_policy(kind, 3).settings()
            assert ours.items() <= theirs.items(), kind
            assert set(theirs) - set(ours) <= OURS_TO_SET.get(kind, set()), kind

    def test_knows_all_policies_but_those_that_sums_cannot_tell(self):
        assert set(POLICIES) - set(KINDS) == {"hedge", "successive_elimination", "uniform"}

    def test_are_written_as_a_replay_writes_them_or_beside(self):
        beside = planned(design="assigned", allocation={
            "policy": "softmax", "policy_settings": {"temperature": 0.5},
        })  # fmt: skip
        inside = planned(design="assigned", allocation={
            "policy": {"kind": "softmax", "temperature": 0.5},
        })  # fmt: skip

        assert inside == beside
        assert inside.document()["allocation"]["policy_settings"] == {"temperature": 0.5}
        assert ExperimentPlan.model_validate(inside.document()).document() == inside.document()

    def test_are_frozen_with_their_defaults(self):
        plan = planned(design="assigned", allocation={"policy": {"kind": "ucb_v", "scale": 2}})

        assert plan.document()["allocation"]["policy_settings"] == {"scale": 2.0, "bonus": 3.0}
        assert policy_of(plan).settings() == {"scale": 2.0, "bonus": 3.0}

    def test_are_in_no_document_that_asks_for_none(self):
        for policy in ("softmax", {"kind": "softmax"}):
            document = planned(design="assigned", allocation={"policy": policy}).document()
            assert document["allocation"]["policy"] == "softmax"
            assert "policy_settings" not in document["allocation"]

    @pytest.mark.parametrize(
        ("policy", "says"),
        [
            ({"kind": "softmax", "temperature": 0}, "policy_settings.temperature: .*greater"),
            ({"kind": "softmax", "temprature": 1}, "no such setting; there are: temperature"),
            ({"kind": "leader", "scale": 1}, "there are: none"),
            ({"kind": "ucb1", "discount": 0.9}, "allocation.discount"),
            ({"kind": "ucb1", "window": 9}, "allocation.window"),
            ({"kind": "ucb1", "seed": 9}, "the seed is the plan's"),
            ({"kind": "top_two_thompson", "posterior": "beta"}, "follows the kind"),
            ({"kind": "exp3", "alpha": 0.1}, "no such setting; there are: gamma"),
            ({"kind": "hedge"}, "allocation.policy"),
            ({"kind": "thompson_beta", "prior": [1, 1]}, "kind proportion"),
            ("kl_ucb", "kind proportion"),
            ("exp3", "needs the range of its rewards"),
            ({"temperature": 0.1}, "allocation.policy"),
        ],
        ids=str,
    )  # fmt: skip
    def test_refuse_what_cannot_be(self, policy, says):
        with pytest.raises(ValueError, match=says):
            planned(design="assigned", allocation={"policy": policy})
