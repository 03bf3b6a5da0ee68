"""Folding: the same sums in fewer rows."""

import threading
from datetime import timedelta

import numpy as np
import pytest
from django.db import connection

from experiments import jobs, selectors, services
from experiments.intake import of_rows
from experiments.models import Exposure, ExposureCount, Outcome, PeriodStatistic, UnitStatistic
from experiments.services.outcomes import record_outcomes
from tests.factories.accounts import account
from tests.factories.experiments import AT, DAY_NS, add_sums, returns, running

pytestmark = pytest.mark.django_db(transaction=True)


def sharded(n_days=20):
    made = running(account())
    for shard in range(4):
        add_sums(made, returns(n_days, seed=shard))
        PeriodStatistic.objects.filter(experiment=made, shard=0).update(shard=shard + 4)
    return made


def table_of(made):
    table = selectors.period_table(made.metrics.get().pk)
    return np.stack([table.period, table.arm, table.n, table.total, table.squares])


class TestFoldShards:
    def test_keeps_the_sums(self):
        made = sharded()
        before = table_of(made)

        jobs.fold_shards()
        jobs.fold_shards()

        np.testing.assert_allclose(table_of(made), before, rtol=1e-12)

    def test_leaves_recent_periods_to_their_shards(self):
        made = sharded()

        jobs.fold_shards()

        rows = PeriodStatistic.objects.filter(experiment=made)
        assert rows.count() == 16 * 2 + 4 * 2 * 4  # the newest and the three before it
        assert rows.filter(shard=0).count() == 16 * 2

    def test_makes_nothing_due(self):
        made = sharded()
        jobs.analyze_experiment(experiment_id=made.public_id)

        jobs.fold_shards()

        assert jobs.list_due() == []

    def test_loses_nothing_that_comes_meanwhile(self):
        made = sharded()
        before = table_of(made)[2].sum()
        row = PeriodStatistic.objects.filter(experiment=made).order_by("period").first()
        upsert = """
            INSERT INTO experiments_periodstatistic (experiment_id, metric_id, arm_id, allocation,
                period, shard, n, total, squares, x_total, x_squares, x_product, changed_at)
            VALUES (%s, %s, %s, %s, %s, %s, 1, 0, 0, 0, 0, 0, now())
            ON CONFLICT (metric_id, period, allocation, arm_id, shard)
            DO UPDATE SET n = experiments_periodstatistic.n + 1"""

        def add():
            with connection.cursor() as cursor:
                for _ in range(50):
                    cursor.execute(
                        upsert,
                        [made.pk, row.metric_id, row.arm_id, row.allocation, row.period, row.shard],
                    )
            connection.close()

        adding = threading.Thread(target=add)
        adding.start()
        for _ in range(10):
            jobs.fold_shards()
        adding.join()

        assert table_of(made)[2].sum() == before + 50

    def test_loses_and_doubles_nothing_beside_batches(self):
        """Three feeds hand in sixty days while shards of those that are over fold."""
        made = running(account(), design="assigned")
        arms = [made.arms.get(position=at) for at in (0, 1)]
        Exposure.objects.bulk_create(
            Exposure(
                experiment=made, unit=f"unit-{number}", arm=arms[number % 2], allocation=1,
                probability=0.5, at=AT,
            )
            for number in range(30)
        )  # fmt: skip
        is_over = threading.Event()

        def feed(first):
            rng = np.random.default_rng(first)
            for day in range(60):
                rows = [
                    {
                        "metric": "return", "value": float(rng.standard_normal()),
                        "unit": f"unit-{unit}", "key": f"{first}-{day}-{at}",
                        "at": (AT + timedelta(days=day, minutes=at)).isoformat(),
                    }
                    for at, unit in enumerate(rng.integers(0, 30, 10))
                ]  # fmt: skip
                record_outcomes(
                    experiment_id=made.public_id, sent=of_rows(rows), actor=made.owner,
                    at=AT + timedelta(days=90),
                )  # fmt: skip
            connection.close()

        def fold():
            while not is_over.is_set():
                jobs.fold_shards()
            connection.close()

        feeds = [threading.Thread(target=feed, args=(first,)) for first in range(3)]
        folds = threading.Thread(target=fold)
        for one in (folds, *feeds):
            one.start()
        for one in feeds:
            one.join()
        is_over.set()
        folds.join()

        values = np.array(Outcome.objects.values_list("value", flat=True))
        table = selectors.period_table(made.metrics.get().pk)
        assert (values.size, table.n.sum()) == (1800, 1800)
        np.testing.assert_allclose(
            [table.total.sum(), table.squares.sum()], [values.sum(), values @ values], rtol=1e-9
        )
        assert selectors.compare_unit_sums(made).differing == []
        jobs.fold_shards()
        for kept in (PeriodStatistic, UnitStatistic):
            shards = kept.objects.filter(shard__gt=0).values_list("period", flat=True)
            assert len(set(shards)) <= 4
        assert jobs.fold_shards() == 0

    def test_keeps_the_sums_over_units(self):
        made = running(account(), design="assigned")
        metric, arm = made.metrics.get(), made.arms.get(position=0)
        UnitStatistic.objects.bulk_create(
            UnitStatistic(
                experiment=made, metric=metric, arm=arm, allocation=1, period=day * DAY_NS,
                shard=shard, units=1, counted=2, total=day, x_total=0.0, nn=4.0, ny=day, nx=0.0,
                yy=shard, yx=0.0, xx=0.0,
                changed_at=AT,
            )
            for day in range(10) for shard in range(1, 5)
        )  # fmt: skip
        before = selectors.unit_table(metric.pk)

        jobs.fold_shards()

        after = selectors.unit_table(metric.pk)
        for name in ("period", "units", "counted", "total", "nn", "ny", "yy"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        assert UnitStatistic.objects.count() == 6 + 4 * 4

    def test_keeps_the_counts_of_exposures(self):
        made = running(account(), design="assigned")
        arm = made.arms.get(position=0)
        services.reallocate(
            experiment_id=made.public_id, actor=made.owner, at=AT, reason="a hunch",
            weights={"champion": 0.2, "challenger": 0.8},
        )  # fmt: skip
        ExposureCount.objects.bulk_create(
            ExposureCount(experiment=made, arm=arm, allocation=number, shard=shard, n=shard)
            for number in (1, 2) for shard in range(8)
        )  # fmt: skip

        jobs.fold_shards()

        assert selectors.exposed_by_allocation(made) == {1: {0: 28}, 2: {0: 28}}
        assert ExposureCount.objects.filter(allocation=1).count() == 1
        assert ExposureCount.objects.filter(allocation=2).count() == 8
