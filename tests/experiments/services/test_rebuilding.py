"""Sums by unit made anew: those that batches keep, of what is still kept as it came."""

import json
import threading
import time
from datetime import timedelta

import numpy as np
import pytest
from django.db import connection, transaction

from crowetrade_site.core.errors import Forbidden
from crowetrade_site.core.models import AuditEvent
from experiments import jobs, selectors, services
from experiments.intake import of_rows
from experiments.models import Exposure, Outcome, PeriodStatistic, UnitStatistic, UnitTotal
from experiments.selectors import raw
from experiments.selectors.comparing import BEFORE_CELLS, CAME_LATE, SumsCompared
from experiments.selectors.configuration import NotRunning, keep_batches_out
from experiments.selectors.raw import NoUnitSums, OutcomesGone
from experiments.services.outcomes import record_outcomes
from experiments.statistics.clusters import UNIT_SUMS
from experiments.statistics.clusters.products import PRODUCTS
from tests.factories.accounts import account
from tests.factories.feeding import START, plan, running

NOW = START + timedelta(days=60)
METRICS = [
    {"name": "return", "role": "primary", "bound": 1.5},
    {"name": "cost", "kind": "ratio"},
    {"name": "delay", "kind": "quantile", "quantile": 0.9},
]


@pytest.fixture
def owner(db):
    return account("researcher")


def assigned(owner, n_units=40, **more):
    """Return an experiment in which units report again; the last of them is overridden."""
    made = running(owner, design="assigned", metrics=METRICS, **more)
    arms = [made.arms.get(position=at) for at in (0, 1)]
    Exposure.objects.bulk_create(
        Exposure(
            experiment=made, unit=f"unit-{number}", arm=arms[number % 2], allocation=1,
            probability=0.5, at=START, is_override=number == n_units - 1,
        )
        for number in range(n_units)
    )  # fmt: skip
    return made


def feed(made, days, n_units=40, per_day=60, first=0):
    """Hand in days of outcomes, a batch each, in their order."""
    for day in days:
        rng = np.random.default_rng(day)
        rows = [
            {
                "metric": ("return", "cost", "delay")[k % 3], "unit": f"unit-{unit}",
                "value": float(rng.standard_normal()), "x": float(rng.uniform(1.0, 2.0)),
                "at": (START + timedelta(days=int(day), minutes=k)).isoformat(),
                "key": f"{first}-{day}-{k}",
            }
            for k, unit in enumerate(rng.integers(0, n_units, per_day))
        ]  # fmt: skip
        record_outcomes(experiment_id=made.public_id, sent=of_rows(rows), actor=made.owner, at=NOW)


def table(made, name="return"):
    """Return the sums by unit of a metric as columns, by period and arm."""
    found = selectors.unit_table(made.metrics.get(name=name).pk)
    order = np.lexsort((found.arm, found.period))
    return np.stack([getattr(found, one)[order] for one in ("period", "arm", *UNIT_SUMS)])


def rebuild(made, **more):
    return services.rebuild_unit_sums(
        experiment_id=made.public_id, actor=more.pop("actor", made.owner), at=NOW, **more
    )


def lose_sums():
    UnitTotal.objects.all().delete()
    UnitStatistic.objects.all().delete()


class TestRebuildUnitSums:
    def test_gives_the_sums_that_batches_keep(self, owner):
        made = assigned(owner)
        feed(made, range(12))
        before = {name: table(made, name) for name in ("return", "cost")}
        totals = set(UnitTotal.objects.values_list("metric", "unit", "n", "newest", "cell_n"))
        lose_sums()

        n = [rebuild(made), rebuild(made)]

        counted = Outcome.objects.exclude(unit="unit-39")
        assert n == [counted.exclude(metric_id=made.metrics.get(name="delay").pk).count()] * 2
        assert n[0] < counted.count()
        for name, columns in before.items():
            np.testing.assert_allclose(table(made, name), columns, rtol=1e-9, atol=1e-9)
        again = set(UnitTotal.objects.values_list("metric", "unit", "n", "newest", "cell_n"))
        assert again == totals

    def test_lets_batches_go_on_where_it_ended(self, owner):
        made, other = assigned(owner), assigned(owner, name="other")
        feed(made, range(6))
        feed(other, range(12))
        lose_sums()

        rebuild(made)
        feed(made, range(6, 12))
        rebuild(other)

        np.testing.assert_allclose(table(made), table(other), rtol=1e-9, atol=1e-9)

    def test_gives_an_answer_to_an_experiment_that_had_none(self, owner):
        made = assigned(owner, analysis={"horizon_periods": 30, "batch_periods": 1})
        feed(made, range(20))
        lose_sums()
        feed(made, [20])

        def because():
            found = jobs.analyze_experiment(experiment_id=made.public_id)
            return found.findings["metrics"][0]["comparisons"][0]

        assert because()["is_withheld"]
        rebuild(made)
        answer = because()

        assert not answer["is_withheld"]
        assert answer["lower"] < answer["estimate"] < answer["upper"]

    def test_is_recorded_once(self, owner):
        made = assigned(owner)
        feed(made, [0])

        rebuild(made, reason="it ran before")

        event = AuditEvent.objects.get(verb="experiments.experiment.unit_sums_rebuilt")
        assert "it ran before" in event.canonical
        told = json.loads(event.canonical)
        assert told["before"] == told["after"]  # all was there, and quantiles have no sums

    def test_is_refused_where_outcomes_are_gone(self, owner):
        made = assigned(owner)
        feed(made, range(3))
        before = table(made)
        Outcome.objects.filter(at__lt=START + timedelta(days=1)).delete()

        with pytest.raises(OutcomesGone, match="are not kept as they came any more"):
            rebuild(made)

        np.testing.assert_array_equal(table(made), before)

    def test_is_refused_where_there_is_nothing_to_rebuild(self, owner):
        with pytest.raises(NoUnitSums, match="not added up by unit"):
            rebuild(running(owner))
        draft = services.create_experiment(
            document=plan(name="draft", design="assigned"), actor=owner, at=START
        )
        with pytest.raises(NotRunning, match="draft"):
            rebuild(draft)

    def test_is_refused_to_others(self, owner):
        with pytest.raises(Forbidden):
            rebuild(assigned(owner), actor=account("researcher", "somebody-else"))


class TestCompareUnitSums:
    def test_holds_cells_to_the_outcomes_where_all_came_in_order(self, owner):
        made = assigned(owner)
        feed(made, range(12))

        assert selectors.compare_unit_sums(made) == SumsCompared()

    @pytest.mark.parametrize("name", [f"cell_{one}" for one in PRODUCTS])
    def test_names_cells_that_are_not_those_of_the_outcomes(self, owner, name):
        made = assigned(owner)
        feed(made, range(6))
        row = UnitStatistic.objects.filter(metric__name="cost", arm__position=1).first()
        UnitStatistic.objects.filter(pk=row.pk).update(**{name: getattr(row, name) + 0.5})

        (found,) = selectors.compare_unit_sums(made).differing

        assert (found.metric, found.arm, found.sum) == ("cost", "challenger", name)
        assert found.stored - found.made == pytest.approx(0.5)
        rebuild(made)
        assert selectors.compare_unit_sums(made) == SumsCompared()

    def test_says_of_which_cells_nobody_knows_because_outcomes_came_late(self, owner):
        made = assigned(owner)
        feed(made, [3, 0, 5])
        row = UnitStatistic.objects.filter(metric__name="return", arm__position=0).first()
        UnitStatistic.objects.filter(pk=row.pk).update(cell_yy=1e9)

        found = selectors.compare_unit_sums(made)

        assert found.differing == []
        assert {one.because for one in found.not_compared} == {CAME_LATE}
        assert len(found.not_compared) == 4
        rebuild(made)
        assert selectors.compare_unit_sums(made) == SumsCompared()

    def test_says_what_was_added_up_before_cells_were_kept(self, owner):
        made = assigned(owner)
        feed(made, range(3))
        zeros = {f"cell_{one}": 0.0 for one in PRODUCTS}
        UnitStatistic.objects.filter(metric__name="cost").update(**zeros)

        found = selectors.compare_unit_sums(made)

        assert found.differing == []
        assert [(one.metric, one.arm, one.because) for one in found.not_compared] == [
            ("cost", "champion", BEFORE_CELLS), ("cost", "challenger", BEFORE_CELLS),
        ]  # fmt: skip
        rebuild(made)
        assert selectors.compare_unit_sums(made) == SumsCompared()

    def test_believe_no_statistics_nor_does_a_rebuild(self, owner):
        """Where the planner took a few thousand rows for a few, a nested loop took minutes."""
        made = assigned(owner)
        feed(made, [0])

        def may_nest_loops():
            with connection.cursor() as cursor:
                cursor.execute("SHOW enable_nestloop")
                return cursor.fetchone()[0]

        for one in (selectors.compare_unit_sums, rebuild):
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL enable_nestloop = on")
            one(made)
            assert may_nest_loops() == "off"
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN " + raw._ROWS, [made.pk])
            assert "Nested Loop" not in str(cursor.fetchall())

    def test_are_none_after_any_batches(self, owner):
        made = assigned(owner)
        feed(made, [3, 0, 5, 1, 4])  # some come late

        assert selectors.compare_unit_sums(made).differing == []

    def test_are_named(self, owner):
        made = assigned(owner)
        feed(made, range(3))
        row = UnitStatistic.objects.filter(metric__name="cost", arm__position=1).first()
        UnitStatistic.objects.filter(pk=row.pk).update(yx=row.yx + 0.5, counted=row.counted + 1)

        found = selectors.compare_unit_sums(made).differing

        assert [(one.metric, one.arm, one.sum) for one in found] == [
            ("cost", "challenger", "counted"), ("cost", "challenger", "yx"),
        ]  # fmt: skip
        assert found[1].stored - found[1].made == pytest.approx(0.5)
        rebuild(made)
        assert selectors.compare_unit_sums(made).differing == []

    def test_are_refused_where_outcomes_are_gone(self, owner):
        made = assigned(owner)
        feed(made, range(3))
        Outcome.objects.filter(at__lt=START + timedelta(days=1)).delete()

        with pytest.raises(OutcomesGone):
            selectors.compare_unit_sums(made)


@pytest.mark.django_db(transaction=True)
class TestBesideBatchesAndFolds:
    def test_loses_and_doubles_nothing(self):
        made = assigned(account("researcher"))
        feed(made, range(8))

        def go_on(first):
            feed(made, range(10), first=first)
            connection.close()

        def fold():
            for _ in range(20):
                jobs.fold_shards()
            connection.close()

        beside = [threading.Thread(target=go_on, args=(first,)) for first in (1, 2)]
        beside.append(threading.Thread(target=fold))
        for one in beside:
            one.start()
        for _ in range(4):
            rebuild(made)
        for one in beside:
            one.join()

        assert selectors.compare_unit_sums(made).differing == []
        sums = selectors.unit_table(made.metrics.get(name="return").pk)
        n = PeriodStatistic.objects.filter(metric__name="return").values_list("n", flat=True)
        assert sums.counted.sum() == sum(n)

    def test_lets_no_outcome_into_an_experiment_that_was_concluded_meanwhile(self):
        made = assigned(account("researcher"))
        feed(made, range(2))
        n_before, refused = Outcome.objects.count(), []

        def go_on():
            try:
                feed(made, [2])
            except NotRunning as refusal:
                refused.append(refusal.detail)
            connection.close()

        def conclude():
            services.conclude_experiment(
                experiment_id=made.public_id, actor=made.owner, at=NOW, verdict="inconclusive",
                reason="enough",
            )  # fmt: skip
            connection.close()

        batch, end = threading.Thread(target=go_on), threading.Thread(target=conclude)
        with transaction.atomic():
            keep_batches_out(made.pk)
            batch.start()
            wait_until_somebody_waits()
            end.start()
            end.join()
        batch.join()

        assert refused == ["The experiment is concluded; outcomes are taken no more."]
        assert Outcome.objects.count() == n_before


def wait_until_somebody_waits():
    """Return once a batch waits for an advisory lock of this database."""
    query = """SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
               WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"""
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(query)
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    pytest.fail("No batch has waited.")
