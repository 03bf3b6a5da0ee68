"""Shares by context: units meet their arms by what they come in, and keep them."""

import json
from datetime import timedelta

import pytest

from crowetrade_site.core.errors import InvalidInput, StaleState
from crowetrade_site.core.models import AuditEvent
from experiments import selectors, services
from experiments.jobs import fold_shards
from experiments.models import Allocation, Exposure, ExposureCount
from experiments.services.assigning import Unit, UnknownContext, assign_unit, assign_units
from tests.factories.accounts import account
from tests.factories.feeding import START, running

AT = START + timedelta(hours=1)
REGIME = {"attribute": "regime", "values": ["calm", "turbulent"]}


@pytest.fixture
def owner(db):
    return account("researcher")


def contextual(owner, assignment=None, **context):
    return running(
        owner, design="assigned", assignment=assignment or {},
        allocation={"policy": "thompson_normal", "context": REGIME | context},
    )  # fmt: skip


def ask(experiment, name, **attributes):
    return assign_unit(
        experiment_id=experiment.public_id, unit=Unit(name, attributes), actor=experiment.owner,
        at=AT,
    )  # fmt: skip


def reallocate(experiment, challenger, context="", reason="a hunch"):
    return services.reallocate(
        experiment_id=experiment.public_id, actor=experiment.owner, at=AT, reason=reason,
        weights={"champion": 1 - challenger, "challenger": challenger}, context=context,
    )  # fmt: skip


class TestStart:
    def test_writes_shares_for_each_context(self, owner):
        experiment = contextual(owner)

        found = Allocation.objects.filter(experiment=experiment).order_by("number")

        assert [(one.number, one.context, one.weights, one.cause) for one in found] == [
            (1, "calm", [0.5, 0.5], "start"), (2, "turbulent", [0.5, 0.5], "start"),
        ]  # fmt: skip
        assert AuditEvent.objects.filter(verb="experiments.experiment.started").count() == 1
        assert not AuditEvent.objects.filter(verb__endswith="reallocated").exists()


class TestAssignUnit:
    def test_keeps_the_context_with_the_exposure(self, owner):
        experiment = contextual(owner)

        met = ask(experiment, "AAPL", regime="turbulent")

        kept = Exposure.objects.get()
        assert (met.context, met.allocation, met.probability) == ("turbulent", 2, 0.5)
        assert (kept.context, kept.allocation) == ("turbulent", 2)
        assert kept.attributes == {"regime": "turbulent"}

    def test_a_unit_keeps_its_arm_when_the_context_changes(self, owner):
        experiment = contextual(owner)
        reallocate(experiment, 0.9, "calm")
        reallocate(experiment, 0.1, "turbulent")
        units = [f"unit-{number}" for number in range(30)]
        first = {name: ask(experiment, name, regime="calm") for name in units}

        again = {name: ask(experiment, name, regime="turbulent") for name in units}
        silent = {name: ask(experiment, name) for name in units}

        told = [(one.arm, one.context, one.allocation, one.probability) for one in first.values()]
        for met in (again, silent):
            assert told == [
                (one.arm, one.context, one.allocation, one.probability) for one in met.values()
            ]
        assert {one.allocation for one in first.values()} == {3}
        assert {one.arm for one in first.values()} == {"champion", "challenger"}

    @pytest.mark.parametrize("attributes", [{}, {"regime": "wild"}])
    def test_refuses_a_unit_in_no_context_and_stores_nothing(self, owner, attributes):
        experiment = contextual(owner)

        with pytest.raises(UnknownContext, match=r"AAPL: attributes.regime is .*calm, turbulent"):
            ask(experiment, "AAPL", **attributes)

        assert not Exposure.objects.exists()

    def test_sends_it_where_the_plan_says_otherwise(self, owner):
        met = ask(contextual(owner, otherwise="turbulent"), "AAPL", regime="wild")

        assert (met.context, met.allocation) == ("turbulent", 2)

    def test_an_override_needs_none(self, owner):
        experiment = contextual(owner, assignment={"overrides": {"AAPL": "challenger"}})

        met = ask(experiment, "AAPL")

        assert (met.arm, met.context, met.reason) == ("challenger", None, "override")

    def test_takes_one_statement_at_first_and_after(self, owner, django_assert_num_queries):
        experiment = contextual(owner)
        ask(experiment, "warm", regime="calm")

        for is_new in (True, False):
            with django_assert_num_queries(1):
                assert ask(experiment, "AAPL", regime="turbulent").is_new is is_new


class TestAssignUnits:
    def test_draws_each_by_its_own_context(self, owner, django_assert_num_queries):
        experiment = contextual(owner)
        reallocate(experiment, 0.9, "turbulent")
        ask(experiment, "warm", regime="calm")
        units = [
            Unit(f"unit-{number}", {"regime": ("calm", "turbulent")[number % 2]})
            for number in range(60)
        ]

        with django_assert_num_queries(3):
            met = assign_units(experiment_id=experiment.public_id, units=units, actor=owner, at=AT)

        assert {(one.context, one.allocation) for one in met} == {("calm", 1), ("turbulent", 3)}
        counted = selectors.exposed_by_allocation(experiment)
        assert {number: sum(by_arm.values()) for number, by_arm in counted.items()} == {
            1: 31,
            3: 30,
        }

    def test_names_the_unit_that_came_in_none(self, owner):
        units = [Unit("AAPL", {"regime": "calm"}), Unit("MSFT", {})]

        with pytest.raises(UnknownContext, match="MSFT: ") as refused:
            assign_units(experiment_id=contextual(owner).public_id, units=units, actor=owner, at=AT)

        assert refused.value.problem()["unit"] == "MSFT"
        assert not Exposure.objects.exists()


class TestReallocate:
    def test_changes_one_context_and_says_which(self, owner):
        experiment = contextual(owner)

        made = reallocate(experiment, 0.7, "turbulent")

        plan = selectors.plan_of(experiment)
        in_force = selectors.allocations_in_force(experiment, plan)
        assert {value: one.weights for value, one in in_force.items()} == {
            "calm": [0.5, 0.5], "turbulent": pytest.approx([0.3, 0.7]),
        }  # fmt: skip
        event = AuditEvent.objects.get(verb="experiments.experiment.reallocated")
        told = json.loads(event.canonical)
        assert told["before"] == {
            "shares": {"champion": 0.5, "challenger": 0.5}, "allocation": 2
        }  # fmt: skip
        assert told["after"]["context"] == "turbulent"
        assert told["after"]["allocation"] == made.number == 3

    @pytest.mark.parametrize(
        ("context", "says"),
        [("", "shares depend on regime: say of which, calm, turbulent"), ("clam", "'calm'")],
    )
    def test_refuses_what_is_no_context(self, owner, context, says):
        with pytest.raises(InvalidInput, match=says):
            reallocate(contextual(owner), 0.7, context)

    def test_refuses_a_context_where_the_plan_has_none(self, owner):
        with pytest.raises(InvalidInput, match="has none: leave it out"):
            reallocate(running(owner, design="assigned"), 0.7, "calm")

    def test_refuses_to_leave_the_control_nothing_in_a_context(self, owner):
        experiment = running(
            owner, design="assigned", allocation={"policy": "fixed", "context": REGIME}
        )

        with pytest.raises(InvalidInput, match="The control champion has no share"):
            reallocate(experiment, 1.0, "turbulent")

        assert Allocation.objects.count() == 2

    def test_of_two_at_once_one_fails_whatever_they_are_of(self, owner, monkeypatch):
        experiment = contextual(owner)
        read = selectors.allocations_in_force

        def as_another_is_faster(*args):
            found = read(*args)
            Allocation.objects.create(
                experiment=experiment, number=3, context="calm", at=AT, weights=[0.4, 0.6],
                cause="policy",
            )  # fmt: skip
            return found

        monkeypatch.setattr(selectors, "allocations_in_force", as_another_is_faster)
        with pytest.raises(StaleState):
            reallocate(experiment, 0.7, "turbulent")

    def test_reads_the_newest_of_each_context_in_one_query(self, owner, django_assert_num_queries):
        experiment = contextual(owner)
        for step in range(5):
            reallocate(experiment, 0.5 + step / 20, "calm")
        plan = selectors.plan_of(experiment)

        with django_assert_num_queries(1):
            found = selectors.allocations_in_force(experiment, plan)

        assert {value: one.number for value, one in found.items()} == {"calm": 7, "turbulent": 2}


class TestFoldShards:
    def test_leaves_counts_of_shares_that_are_in_force_in_any_context(self, owner):
        experiment = contextual(owner)
        for number in range(20):
            ask(experiment, f"unit-{number}", regime=("calm", "turbulent")[number % 2])
        before = selectors.exposed_by_allocation(experiment)
        reallocate(experiment, 0.7, "turbulent")
        ExposureCount.objects.update(shard=3)

        fold_shards()

        assert set(ExposureCount.objects.values_list("allocation", "shard")) == {(1, 3), (2, 0)}
        assert selectors.exposed_by_allocation(experiment) == before
