"""Outcomes: each counted once, joined to its exposure, added up; the wrong ones counted by why."""

import threading
from datetime import timedelta
from uuid import uuid4

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crowetrade_site.core.errors import Forbidden, NotFound
from experiments import selectors, services
from experiments.intake import of_rows
from experiments.models import (
    Exposure,
    Outcome,
    OutcomeKey,
    PeriodStatistic,
    SketchBin,
    UnitTotal,
)
from experiments.selectors.configuration import NotRunning
from experiments.services.outcomes import record_outcomes
from experiments.statistics.clusters import UnitTable
from tests.factories.accounts import account
from tests.factories.feeding import START, of_arms, plan, running

NOW = START + timedelta(days=30)
DAY_NS = 86_400 * 10**9


@pytest.fixture
def owner(db):
    return account("researcher")


def record(experiment, rows, actor=None, at=NOW):
    return record_outcomes(
        experiment_id=experiment.public_id, sent=of_rows(rows), actor=actor or experiment.owner,
        at=at,
    )  # fmt: skip


def sums(experiment, name="return"):
    return selectors.period_table(experiment.metrics.get(name=name).pk)


def expose(experiment, unit, position=0, *, at=START, is_override=False, allocation=1):
    return Exposure.objects.create(
        experiment=experiment, unit=unit, arm=experiment.arms.get(position=position),
        allocation=allocation, probability=0.5, at=at, is_override=is_override,
    )  # fmt: skip


class TestShadow:
    def test_keeps_and_adds_up_what_comes(self, owner):
        experiment = running(owner)

        receipt = record(experiment, of_arms(10))

        assert (receipt.accepted, receipt.duplicate, receipt.late, receipt.refused) == (
            10,
            0,
            0,
            {},
        )
        found = sums(experiment)
        assert found.n.tolist() == [5, 5]
        np.testing.assert_allclose(found.total, [5.0, 6.25])
        np.testing.assert_allclose(found.squares, [7.5, 10.3125])
        assert Outcome.objects.filter(experiment=experiment).count() == 10
        assert selectors.tallies(experiment) == {"accepted": 10}

    def test_counts_a_batch_that_is_sent_again_once(self, owner):
        experiment = running(owner)
        record(experiment, of_arms(10))

        receipt = record(experiment, of_arms(15))

        assert (receipt.accepted, receipt.duplicate) == (5, 10)
        assert OutcomeKey.objects.filter(experiment=experiment).count() == 15
        assert sums(experiment).n.sum() == 15

    def test_counts_a_row_that_is_twice_in_a_batch_once(self, owner):
        experiment = running(owner)
        row = of_arms(1)[0]

        receipt = record(experiment, [row, row, row | {"value": 7.0}])

        assert (receipt.accepted, receipt.duplicate) == (1, 1)
        assert receipt.refused == {"conflicting": 1}
        assert receipt.refusals[0].row == 2
        assert sums(experiment).total.sum() == row["value"]

    def test_keeps_the_first_value_of_a_key(self, owner):
        experiment = running(owner)
        row = of_arms(1)[0] | {"key": "fill-1"}
        record(experiment, [row])

        receipt = record(
            experiment, [row | {"value": 9.0, "at": (START + timedelta(1)).isoformat()}]
        )

        assert (receipt.accepted, receipt.refused) == (0, {"conflicting": 1})
        assert Outcome.objects.get(experiment=experiment).value == row["value"]

    def test_takes_the_good_rows_of_a_batch(self, owner):
        experiment = running(owner)
        rows = of_arms(4)
        rows[1] |= {"value": float("nan")}
        rows[2] |= {"metric": "no"}

        receipt = record(experiment, rows)

        assert receipt.accepted == 2
        assert receipt.refused == {"unknown_metric": 1, "not_finite": 1}
        assert [one.row for one in receipt.refusals] == [1, 2]
        assert selectors.tallies(experiment) == {
            "accepted": 2,
            "not_finite": 1,
            "unknown_metric": 1,
        }

    def test_counts_as_late_what_could_have_been_analyzed(self, owner):
        experiment = running(owner, lateness="1d")

        def on(day):
            return of_arms(1, first=day, at=START + timedelta(days=day))

        assert [record(experiment, on(day)).late for day in (5, 4, 3, 1, 6)] == [0, 0, 1, 1, 0]
        assert sums(experiment).n.sum() == 5

    def test_counts_by_the_exposure_where_a_policy_moves_the_shares(self, owner):
        experiment = running(
            owner, design="assigned", allocation={"policy": "thompson_normal"}, lateness="2d"
        )
        days = [START + timedelta(days=day) for day in range(12)]
        for day in (0, 1, 8):
            expose(experiment, f"of-{day}", at=days[day])

        def outcome(unit, day):
            return [{"metric": "return", "value": 1.0, "at": days[day].isoformat(), "unit": unit}]

        # the first cohort's lateness is over at the end of the third day
        assert record(experiment, outcome("of-1", 3), at=days[3]).late == 0
        assert record(experiment, outcome("of-8", 9), at=days[9]).late == 0
        assert record(experiment, outcome("of-0", 11), at=days[11]).late == 1
        assert experiment.plan["counted_by"] == "exposure"
        found = sums(experiment)
        first = int(START.timestamp()) * 10**9
        assert found.period.tolist() == [first, first + DAY_NS, first + 8 * DAY_NS]
        rows = Outcome.objects.filter(experiment=experiment).order_by("at")
        assert [row.at for row in rows] == [days[3], days[9], days[11]]

    def test_cuts_at_the_bound_and_keeps_the_value(self, owner):
        metrics = [{"name": "return", "role": "primary", "bound": 0.5}]
        experiment = running(owner, metrics=metrics)

        record(experiment, [of_arms(1)[0] | {"value": -3.0}])

        assert sums(experiment).total.tolist() == [-0.5]
        assert Outcome.objects.get(experiment=experiment).value == -3.0

    def test_adds_up_denominators_and_counts_quantiles(self, owner):
        metrics = [
            {"name": "return", "role": "primary", "kind": "ratio"},
            {"name": "slippage", "kind": "quantile", "quantile": 0.9},
        ]
        experiment = running(owner, metrics=metrics)
        row = of_arms(1)[0]

        record(
            experiment, [row | {"value": 2.0, "x": 3.0}, row | {"metric": "slippage", "value": 4.0}]
        )

        found = sums(experiment)
        assert (found.x_total[0], found.x_squares[0], found.x_product[0]) == (3.0, 9.0, 6.0)
        assert SketchBin.objects.get(metric__name="slippage", metric__experiment=experiment).n == 1

    @pytest.mark.parametrize("n_rows", [1, 1_000])
    def test_takes_as_many_statements_for_a_thousand_as_for_one(self, owner, n_rows):
        experiment = running(owner)
        record(experiment, of_arms(1, first=5_000))

        with CaptureQueriesContext(connection) as queries:
            record(experiment, of_arms(n_rows))

        told = [query["sql"].split("\n")[1][:60] for query in queries if "\n" in query["sql"]]
        assert len(told) == 5, told  # keys, rows, newest, sums, tallies


class TestAssigned:
    def test_joins_outcomes_to_exposures(self, owner):
        experiment = running(owner, design="assigned")
        expose(experiment, "AAPL", 0)
        expose(experiment, 'M"S\\FT', 1, allocation=3)
        at = (START + timedelta(hours=1)).isoformat()

        receipt = record(
            experiment,
            [{"metric": "return", "value": value, "at": at, "unit": unit}
             for unit, value in (("AAPL", 1.0), ('M"S\\FT', 2.0), ("NOBODY", 3.0))],
        )  # fmt: skip

        found = sums(experiment)
        assert (receipt.accepted, receipt.refused) == (2, {"not_exposed": 1})
        assert (found.arm.tolist(), found.allocation.tolist()) == ([0, 1], [1, 3])
        assert found.total.tolist() == [1.0, 2.0]
        units = Outcome.objects.filter(experiment=experiment).values_list("unit", flat=True)
        assert set(units) == {"AAPL", 'M"S\\FT'}

    def test_refuses_what_happened_before_the_unit_met_its_arm(self, owner):
        experiment = running(owner, design="assigned")
        expose(experiment, "AAPL", at=START + timedelta(hours=2))
        row = {"metric": "return", "value": 1.0, "unit": "AAPL"}

        receipt = record(
            experiment,
            [row | {"at": (START + timedelta(hours=hours)).isoformat()} for hours in (1, 2, 3)],
        )

        assert (receipt.accepted, receipt.refused) == (2, {"before_exposure": 1})

    def test_keeps_overridden_units_and_counts_them_nowhere(self, owner):
        experiment = running(owner, design="assigned")
        expose(experiment, "AAPL", is_override=True)

        receipt = record(
            experiment,
            [{"metric": "return", "value": 1.0, "at": START.isoformat(), "unit": "AAPL"}],
        )

        assert receipt.accepted == 1
        assert Outcome.objects.filter(experiment=experiment).count() == 1
        assert not PeriodStatistic.objects.filter(experiment=experiment).exists()
        assert selectors.tallies(experiment) == {"accepted": 1, "overridden": 1}


class TestRefusals:
    def test_of_an_experiment_that_does_not_run(self, owner):
        draft = services.create_experiment(document=plan(), actor=owner, at=START)

        with pytest.raises(NotRunning):
            record(draft, of_arms(1))

    def test_take_the_outcomes_of_a_paused_one(self, owner):
        experiment = running(owner)
        services.pause_experiment(
            experiment_id=experiment.public_id, actor=owner, at=NOW, reason="a look"
        )

        assert record(experiment, of_arms(1)).accepted == 1

    def test_of_whoever_may_not_feed(self, owner):
        with pytest.raises(Forbidden):
            record(running(owner), of_arms(1), actor=account("auditor"))

    def test_of_what_is_not_there(self, owner):
        with pytest.raises(NotFound):
            record_outcomes(experiment_id=uuid4(), sent=of_rows(of_arms(1)), actor=owner, at=NOW)


class TestUnitsThatReportAgain:
    def outcomes(self, n=60, n_units=7, seed=1):
        """Return outcomes of some days in any order, and what they are as columns."""
        rng = np.random.default_rng(seed)
        day, unit = rng.integers(0, 5, n), rng.integers(0, n_units, n)
        value = rng.standard_normal(n)
        rows = [
            {
                "metric": "return", "value": float(value[k]), "unit": f"unit-{unit[k]}",
                "at": (START + timedelta(days=int(day[k]), minutes=k)).isoformat(),
            }
            for k in range(n)
        ]  # fmt: skip
        return rows, day, unit, value

    def test_are_added_up_by_unit_over_batches(self, owner):
        experiment = running(owner, design="assigned")
        for number in range(7):
            expose(experiment, f"unit-{number}", number % 2)
        rows, day, unit, value = self.outcomes()

        for begin in range(0, 60, 13):
            record(experiment, rows[begin : begin + 13])
            record(experiment, rows[begin : begin + 13])

        found = selectors.unit_table(experiment.metrics.get().pk)
        expected = UnitTable.of_outcomes(day, unit % 2, unit, value)
        for name in ("units", "counted", "total", "nn", "ny", "yy"):
            for arm in (0, 1):
                own, other = (getattr(table, name)[table.arm == arm] for table in (found, expected))
                assert own.sum() == pytest.approx(other.sum(), rel=1e-9)

    def test_are_not_added_up_where_each_is_in_one_period(self, owner):
        experiment = running(owner, design="assigned", counted_by="exposure")
        expose(experiment, "unit-0")

        record(experiment, [row | {"unit": "unit-0"} for row in self.outcomes(5)[0]])

        assert selectors.unit_table(experiment.metrics.get().pk) is None
        assert not UnitTotal.objects.exists()

    def test_leave_out_overridden_units(self, owner):
        experiment = running(owner, design="assigned")
        expose(experiment, "unit-0", is_override=True)

        record(experiment, [row | {"unit": "unit-0"} for row in self.outcomes(5)[0]])

        assert not UnitTotal.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestTwoFeeds:
    def test_lose_nothing_of_the_units_that_they_share(self):
        experiment = running(account("researcher"), design="assigned")
        for number in range(20):
            expose(experiment, f"unit-{number}", number % 2)
        rng = np.random.default_rng(2)

        def feed(first):
            for batch in range(10):
                units = rng.permutation(20)
                record(
                    experiment,
                    [
                        {
                            "metric": "return", "value": 1.0, "unit": f"unit-{unit}",
                            "key": f"{first}-{batch}", "at": START.isoformat(),
                        }
                        for unit in units.tolist()
                    ],
                )  # fmt: skip
            connection.close()

        feeds = [threading.Thread(target=feed, args=(first,)) for first in range(3)]
        for one in feeds:
            one.start()
        for one in feeds:
            one.join()

        table = selectors.unit_table(experiment.metrics.get().pk)
        assert (table.units.sum(), table.counted.sum()) == (20, 600)
        assert table.nn.sum() == table.yy.sum() == 20 * 30**2
