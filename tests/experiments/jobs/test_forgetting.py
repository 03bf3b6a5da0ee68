"""Totals of units are let go of once an experiment is over; sums over units stay."""

from datetime import timedelta

import pytest

from experiments import jobs, services
from experiments.jobs import forgetting
from experiments.models import UnitTotal
from experiments.plans import Verdict
from tests.factories.accounts import account
from tests.factories.feeding import START, running

pytestmark = pytest.mark.django_db(transaction=True)
END = START + timedelta(days=9)


def with_units(owner, name, n=7):
    made = running(owner, design="assigned", name=name)
    metric = made.metrics.get()
    UnitTotal.objects.bulk_create(
        UnitTotal(metric=metric, unit=f"unit-{k}", n=1, total=1.0, x_total=0.0, newest=0)
        for k in range(n)
    )
    return made


class TestForgetUnits:
    def test_takes_those_of_experiments_that_have_been_over_for_a_day(self, monkeypatch):
        monkeypatch.setattr(forgetting, "CHUNK", 3)
        owner = account("researcher")
        over, goes_on = with_units(owner, "over"), with_units(owner, "goes-on")
        services.conclude_experiment(
            experiment_id=over.public_id,
            actor=owner,
            at=END,
            reason="enough",
            verdict=Verdict.INCONCLUSIVE,
        )

        early = jobs.forget_units(at=END + timedelta(hours=23))
        late = jobs.forget_units(at=END + timedelta(hours=25))

        assert (early, late) == (0, 7)
        kept = UnitTotal.objects.values_list("metric__experiment", flat=True)
        assert set(kept) == {goes_on.pk}
