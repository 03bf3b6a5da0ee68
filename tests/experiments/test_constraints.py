"""What the database itself refuses of an experiment, and what two at once leave."""

import pytest
from django.db import IntegrityError, transaction

from crowetrade_site.core.errors import StaleState
from crowetrade_site.core.models import AuditEvent
from experiments.jobs.steps import move
from experiments.lifecycle import ExperimentStatus
from experiments.models import Experiment
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.experiments import running

pytestmark = pytest.mark.django_db


@pytest.fixture
def row():
    return running(account("researcher"))


class TestExperiment:
    @pytest.mark.parametrize(
        "fields",
        [
            {"status": "concluded"},
            {"verdict": "winner"},
            {"winner": "champion"},
            {"started_at": None},
            {"plan_digest": ""},
        ],
    )
    def test_is_never_half_moved(self, row, fields):
        with pytest.raises(IntegrityError), transaction.atomic():
            Experiment.objects.filter(pk=row.pk).update(**fields)

    def test_is_moved_by_one_of_two_at_once(self, row):
        mine, other = (Experiment.objects.get(pk=row.pk) for _ in range(2))

        with transaction.atomic():
            move(mine, ExperimentStatus.PAUSED, actor=None, at=AT, reason="", verb="paused")
        with pytest.raises(StaleState), transaction.atomic():
            move(other, ExperimentStatus.CONCLUDED, actor=None, at=AT, reason="", verb="concluded")

        told = AuditEvent.objects.filter(object_id=str(row.public_id)).order_by("id")
        assert told.last().verb == "experiments.experiment.paused"
        assert Experiment.objects.get(pk=row.pk).revision == row.revision + 1
