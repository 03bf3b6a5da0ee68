"""Folding: the same sums in fewer rows."""

import threading

import numpy as np
import pytest
from django.db import connection

from experiments import jobs, selectors
from experiments.models import PeriodStatistic
from tests.factories.accounts import account
from tests.factories.experiments import add_sums, returns, running

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
