"""Partitions of raw outcomes: made ahead, filled from the default one, dropped in time."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import connection

from experiments import jobs
from experiments.models import Outcome
from tests.factories.accounts import account
from tests.factories.experiments import running

NOW = datetime(2026, 3, 15, tzinfo=UTC)


@pytest.fixture
def owner(db):
    return account("researcher", "rita")


@pytest.fixture
def row(owner):
    return running(owner)


def outcome(row, at):
    return Outcome.objects.create(
        experiment=row, key=uuid4(), at=at, metric=row.metrics.get(), unit="",
        arm=row.arms.get(position=0), allocation=0, value=1.0, received_at=NOW,
    )  # fmt: skip


def held_by(at):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text FROM experiments_outcome WHERE at = %s", [at]
        )
        return [name for (name,) in cursor.fetchall()]


class TestKeepPartitions:
    def test_makes_this_month_and_two_more_once(self, db):
        made = jobs.keep_partitions(at=NOW)["made"]

        assert made == [f"experiments_outcome_y2026m{month:02d}" for month in (3, 4, 5)]
        assert jobs.keep_partitions(at=NOW) == {"made": [], "dropped": []}

    def test_goes_over_the_end_of_a_year(self, db):
        made = jobs.keep_partitions(at=datetime(2026, 11, 30, 23, tzinfo=UTC))["made"]

        assert [name[-8:] for name in made] == ["y2026m11", "y2026m12", "y2027m01"]

    def test_takes_over_what_came_before_its_partition(self, row):
        first, last = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 31, 23, 59, tzinfo=UTC)
        far = datetime(2019, 1, 1, tzinfo=UTC)
        for at in (first, last, far):
            outcome(row, at)
        assert held_by(first) == ["experiments_outcome_default"]

        jobs.keep_partitions(at=NOW)

        assert held_by(first) == held_by(last) == ["experiments_outcome_y2026m03"]
        assert held_by(far) == ["experiments_outcome_default"]
        assert Outcome.objects.count() == 3

    def test_keeps_all_unless_told_otherwise(self, row):
        jobs.keep_partitions(at=NOW)
        outcome(row, NOW)

        jobs.keep_partitions(at=datetime(2036, 3, 15, tzinfo=UTC))

        assert Outcome.objects.count() == 1

    def test_drops_what_is_past_its_time(self, row, settings):
        jobs.keep_partitions(at=NOW)
        old, recent = datetime(2019, 1, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC)
        for at in (old, NOW, recent):
            outcome(row, at)
        settings.OUTCOME_MONTHS = 2

        found = jobs.keep_partitions(at=datetime(2026, 6, 1, tzinfo=UTC))

        assert found["dropped"] == ["experiments_outcome_y2026m03"]
        assert held_by(old) == held_by(NOW) == []
        assert held_by(recent) == ["experiments_outcome_y2026m05"]
