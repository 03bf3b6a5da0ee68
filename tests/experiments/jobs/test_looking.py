"""A look reads all sums as they stood at one moment, whatever comes meanwhile."""

import threading
from datetime import timedelta

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone

from experiments import jobs
from experiments.intake import of_rows
from experiments.plans import Verdict
from experiments.services.assigning import Unit, assign_units
from experiments.services.outcomes import record_outcomes
from tests.factories.accounts import account
from tests.factories.feeding import running

pytestmark = pytest.mark.django_db(transaction=True)
N_DAYS, N_UNITS = 22, 40


class Feed:
    """An experiment of units that report every day, and what they send."""

    def __init__(self):
        self.owner = account("researcher")
        self.start = timezone.now().replace(hour=0, minute=0, second=0) - timedelta(days=40)
        self.experiment = running(
            self.owner, at=self.start, design="assigned",
            analysis={"horizon_periods": 20, "minimum_periods": 10, "batch_periods": 1},
        )  # fmt: skip
        units = [Unit(f"unit-{k:02}", {}) for k in range(N_UNITS)]
        met = assign_units(
            experiment_id=self.experiment.public_id, units=units, actor=self.owner, at=self.start
        )
        self.is_challenger = {one.unit: one.arm == "challenger" for one in met}
        self.noise = np.random.default_rng(1)

    def send(self, day, names, hour=1, more=0.0):
        at = self.start + timedelta(days=day, hours=hour)
        rows = [
            {
                "metric": "return", "unit": name, "at": at.isoformat(),
                "value": 5.0 * self.is_challenger[name] + self.noise.normal(more, 0.1),
            }
            for name in names
        ]  # fmt: skip
        receipt = record_outcomes(
            experiment_id=self.experiment.public_id, sent=of_rows(rows), actor=self.owner,
            at=timezone.now(),
        )  # fmt: skip
        assert receipt.accepted == len(rows)


class TestAnalyzeExperiment:
    def test_is_not_confused_by_a_batch_between_two_of_its_tables(self):
        """A late outcome, absurdly large, of a unit that reports no more."""
        feed = Feed()
        for day in range(N_DAYS):
            feed.send(day, [name for name in feed.is_challenger if name != "unit-00" or day < 9])
        came = []

        def meanwhile():
            feed.send(5, ["unit-00"], hour=2, more=1e6)
            connection.close()

        def watch(execute, sql, params, many, context):
            if "FROM experiments_unitstatistic" in sql and not came:
                came.append(threading.Thread(target=meanwhile))
                came[0].start()
                came[0].join()
            return execute(sql, params, many, context)

        with connection.execute_wrapper(watch):
            analysis = jobs.analyze_experiment(experiment_id=feed.experiment.public_id)

        assert len(came) == 1
        assert analysis.verdict == Verdict.WINNER
        primary = analysis.findings["metrics"][0]["comparisons"][0]
        assert primary["estimate"] == pytest.approx(5.0, abs=0.1)
