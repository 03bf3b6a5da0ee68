"""Units meet their arms once, and for ever."""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connections

from crowetrade_site.core.errors import Forbidden, InvalidInput
from experiments import selectors, services
from experiments.models import Exposure
from experiments.selectors.configuration import NotRunning
from experiments.services import assigning
from experiments.services.assigning import Unit, assign_unit, assign_units
from tests.factories.accounts import account
from tests.factories.feeding import START, running

AT = START + timedelta(hours=1)


@pytest.fixture
def owner(db):
    return account("researcher")


def ask(experiment, name, actor=None, at=AT, **attributes):
    return assign_unit(
        experiment_id=experiment.public_id, unit=Unit(name, attributes),
        actor=actor or User.objects.get(pk=experiment.owner_id), at=at,
    )  # fmt: skip


def ask_all(experiment, names):
    return assign_units(
        experiment_id=experiment.public_id, units=[Unit(name, {}) for name in names],
        actor=experiment.owner, at=AT,
    )  # fmt: skip


class TestAssignUnit:
    def test_stores_what_it_tells(self, owner):
        experiment = running(owner, design="assigned")

        met = ask(experiment, "AAPL", desk="equities")

        kept = Exposure.objects.get(experiment=experiment)
        assert met.is_new
        assert (met.arm, met.probability, met.allocation) == (kept.arm.name, 0.5, 1)
        assert (kept.unit, kept.at, kept.attributes) == ("AAPL", AT, {"desk": "equities"})

    def test_says_the_same_again_whatever_the_shares(self, owner):
        experiment = running(owner, design="assigned")
        first = {name: ask(experiment, name) for name in map(str, range(20))}
        services.reallocate(
            experiment_id=experiment.public_id, actor=owner, at=AT, reason="a hunch",
            weights={"champion": 1.0, "challenger": 0.0},
        )  # fmt: skip

        again = {name: ask(experiment, name) for name in first}
        new = [ask(experiment, f"new-{number}") for number in range(20)]

        assert [one.arm for one in again.values()] == [one.arm for one in first.values()]
        assert not any(one.is_new for one in again.values())
        assert {one.allocation for one in again.values()} == {1}
        assert {(one.arm, one.allocation, one.probability) for one in new} == {("champion", 2, 1.0)}

    def test_leaves_no_exposure_of_a_unit_without_an_arm(self, owner):
        targeting = {"attribute": "desk", "equals": "equities"}
        experiment = running(owner, design="assigned", assignment={"targeting": targeting})

        met = ask(experiment, "AAPL", desk="rates")

        assert (met.arm, met.reason, met.is_new) == (None, "not_targeted", False)
        assert not Exposure.objects.exists()
        assert ask(experiment, "AAPL", desk="equities").is_new

    def test_marks_an_override(self, owner):
        experiment = running(
            owner, design="assigned", assignment={"overrides": {"AAPL": "challenger"}}
        )

        met = ask(experiment, "AAPL")

        assert (met.arm, met.probability, met.reason) == ("challenger", 1.0, "override")
        assert Exposure.objects.get().is_override
        assert ask(experiment, "AAPL").reason == "override"

    def test_takes_one_statement_at_first_and_after(self, owner, django_assert_num_queries):
        experiment = running(owner, design="assigned")
        ask(experiment, "warm", owner)

        for is_new in (True, False):
            with django_assert_num_queries(1):
                assert ask(experiment, "AAPL", owner).is_new is is_new

    @pytest.mark.parametrize("name", ["", "x" * 10_000_000, "a\x00b", "a\nb", "\ud800"])
    def test_refuses_what_is_no_unit(self, owner, name):
        with pytest.raises(InvalidInput):
            ask(running(owner, design="assigned"), name)

    @pytest.mark.parametrize("value", [float("nan"), "\x00", "\ud800", "x" * 20_000])
    def test_refuses_attributes_that_cannot_be_kept(self, owner, value):
        with pytest.raises(InvalidInput):
            ask(running(owner, design="assigned"), "AAPL", desk=value)

    def test_refuses_shadow_paused_and_foreign(self, owner):
        shadow = running(owner, name="shadow")
        paused = running(owner, name="paused", design="assigned")
        services.pause_experiment(
            experiment_id=paused.public_id, actor=owner, at=AT, reason="a look"
        )

        for experiment in (shadow, paused):
            with pytest.raises(NotRunning):
                ask(experiment, "AAPL")
        with pytest.raises(Forbidden):
            ask(shadow, "AAPL", account("auditor"))


class TestAssignUnits:
    def test_answers_in_the_order_asked(self, owner):
        experiment = running(owner, design="assigned")
        alone = ask(experiment, "b")

        met = ask_all(experiment, ["c", "b", "a"])

        assert [one.unit for one in met] == ["c", "b", "a"]
        assert [one.is_new for one in met] == [True, False, True]
        assert met[1].arm == alone.arm
        assert [one.arm for one in ask_all(experiment, ["c", "b", "a"])] == [one.arm for one in met]

    def test_decides_anew_where_the_shares_changed_before_it_was_stored(self, owner, monkeypatch):
        experiment = running(owner, design="assigned")
        ask_all(experiment, ["warm"])
        decide = assigning._decide

        def as_shares_change(*args):
            monkeypatch.setattr(assigning, "_decide", decide)
            services.reallocate(
                experiment_id=experiment.public_id, actor=owner, at=AT, reason="a hunch",
                weights={"champion": 1.0, "challenger": 0.0},
            )  # fmt: skip
            return decide(*args)

        monkeypatch.setattr(assigning, "_decide", as_shares_change)
        met = ask_all(experiment, [f"unit-{number}" for number in range(20)])

        assert {(one.arm, one.allocation, one.is_new) for one in met} == {("champion", 2, True)}

    @pytest.mark.parametrize("names", [[], ["a", "a"], [str(number) for number in range(1_001)]])
    def test_refuses_none_too_many_and_twins(self, owner, names):
        with pytest.raises(InvalidInput):
            ask_all(running(owner, design="assigned"), names)


def counted(experiment):
    """Return the exposures by allocation and position of the arm, by counting rows."""
    found = {}
    for one in Exposure.objects.filter(experiment=experiment, is_override=False):
        by_arm = found.setdefault(one.allocation, {})
        by_arm[one.arm.position] = by_arm.get(one.arm.position, 0) + 1
    return found


class TestCountsOfExposures:
    def test_are_those_of_the_rows(self, owner):
        experiment = running(
            owner, design="assigned", assignment={"overrides": {"house": "challenger"}}
        )
        for unit in ("a", "b", "a", "house"):
            ask(experiment, unit)
        ask_all(experiment, ["b", "house", *(f"unit-{number}" for number in range(50))])
        services.reallocate(
            experiment_id=experiment.public_id, actor=owner, at=AT, reason="a hunch",
            weights={"champion": 0.2, "challenger": 0.8},
        )  # fmt: skip
        ask_all(experiment, [f"unit-{number}" for number in range(90)])
        ask(experiment, "last")

        found = selectors.exposed_by_allocation(experiment)

        assert found == counted(experiment)
        assert sum(n for by_arm in found.values() for n in by_arm.values()) == 93

    @pytest.mark.django_db(transaction=True)
    def test_are_those_of_the_rows_when_many_ask_at_once(self):
        experiment = running(account("researcher"), design="assigned")

        def client(first):
            for number in range(30):
                ask(experiment, f"unit-{(first + number) % 60}")
            ask_all(experiment, [f"unit-{number}" for number in range(first, first + 80)])
            connections.close_all()

        clients = [threading.Thread(target=client, args=(10 * first,)) for first in range(4)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()

        found = selectors.exposed_by_allocation(experiment)
        assert found == counted(experiment)
        assert sum(found[1].values()) == 110
