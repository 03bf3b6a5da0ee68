"""Sums over units while workers of the version before, which keeps no cells, still add to them."""

from datetime import timedelta

import pytest
from django.db import connection

from experiments.intake import of_rows
from experiments.models import Exposure, UnitStatistic, UnitTotal
from experiments.services.outcomes import record_outcomes
from tests.factories.accounts import account
from tests.factories.feeding import START, running

NOW = START + timedelta(days=60)
DAY_NS = 86_400_000_000_000
# As the version before cells wrote it.
WITHOUT_CELLS = """
INSERT INTO experiments_unittotal AS kept (metric_id, unit, n, total, x_total, newest)
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::float8[], %s::float8[],
                     %s::bigint[])
ON CONFLICT (metric_id, unit) DO UPDATE SET
n = kept.n + EXCLUDED.n, total = kept.total + EXCLUDED.total,
x_total = kept.x_total + EXCLUDED.x_total, newest = greatest(kept.newest, EXCLUDED.newest),
total_before = kept.total, x_total_before = kept.x_total, newest_before = kept.newest
"""


@pytest.fixture
def made(db):
    """Return an experiment with one unit."""
    made = running(account("researcher"), design="assigned")
    Exposure.objects.create(
        experiment=made, unit="unit-1", arm=made.arms.get(position=0), allocation=1,
        probability=0.5, at=START,
    )  # fmt: skip
    return made


def add(made, day, value):
    """Hand in one outcome, and return what it added to the squares of cells and of late ones."""
    before = squares(made)
    at = (START + timedelta(days=day, minutes=value)).isoformat()
    sent = of_rows([{"metric": "return", "unit": "unit-1", "value": value, "at": at}])
    record_outcomes(experiment_id=made.public_id, sent=sent, actor=made.owner, at=NOW)
    return tuple(now - was for now, was in zip(squares(made), before, strict=True))


def add_without_cells(made, day, value):
    period = int(START.timestamp()) * 1_000_000_000 + day * DAY_NS
    columns = [made.metrics.get().pk], ["unit-1"], [1], [value], [0.0], [period]
    with connection.cursor() as cursor:
        cursor.execute(WITHOUT_CELLS, columns)


def squares(made):
    found = UnitStatistic.objects.filter(experiment=made)
    return tuple(sum(found.values_list(name, flat=True)) for name in ("cell_yy", "late_yy"))


class TestBesideAVersionWithoutCells:
    def test_takes_no_cell_of_a_period_before_for_that_of_the_newest(self, made):
        add(made, 0, 10.0)
        add_without_cells(made, 1, 5.0)

        assert add(made, 1, 7.0) == (0.0, 49.0)

    def test_takes_no_cell_for_whole_to_which_that_version_has_added(self, made):
        """It had 10 and -10, which make 0: as if 10 alone were there, 7 would add 189."""
        add(made, 0, 10.0)
        add_without_cells(made, 0, -10.0)

        assert add(made, 0, 7.0) == (0.0, 49.0)

    def test_does_not_know_a_cell_that_began_there(self, made):
        add_without_cells(made, 0, 10.0)

        assert add(made, 0, 7.0) == (0.0, 49.0)
        assert UnitTotal.objects.get().total == 17.0

    def test_knows_cells_again_from_the_next_period_on(self, made):
        add(made, 0, 10.0)
        add_without_cells(made, 1, 5.0)
        add(made, 1, 7.0)

        assert add(made, 2, 2.0) == (4.0, 0.0)
        assert add(made, 2, 3.0) == (21.0, 0.0)

    def test_stay_known_after_what_came_late(self, made):
        add(made, 1, 2.0)

        assert add(made, 0, 5.0) == (0.0, 25.0)
        assert add(made, 1, 3.0) == (21.0, 0.0)
