"""From requests to findings where shares depend on a context, against single outcomes."""

from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from experiments import jobs, selectors, services
from experiments.intake import of_rows
from experiments.models import Exposure
from experiments.services.assigning import Unit, assign_units
from experiments.services.outcomes import record_outcomes
from tests.factories.accounts import account
from tests.factories.feeding import running

pytestmark = pytest.mark.django_db(transaction=True)
N_DAYS, N_UNITS = 30, 40


def fed(owner):
    """Run an experiment of 30 days, its shares changed in the middle; return it and its rows."""
    rng, start = np.random.default_rng(7), timezone.now() - timedelta(days=N_DAYS + 2)
    start = start.replace(hour=0, minute=0, second=0, microsecond=0)
    context = {"attribute": "regime", "values": ["calm", "turbulent"], "otherwise": "calm"}
    made = running(
        owner, at=start, design="assigned", analysis={"horizon_periods": 200},
        allocation={"policy": "thompson_normal", "refresh": "1h", "context": context},
        stopping={"on_answer": "notify"},
    )  # fmt: skip
    rows = []
    for day in range(N_DAYS):
        at = start + timedelta(days=day, hours=1)
        if day == N_DAYS // 2:
            services.reallocate(
                experiment_id=made.public_id, actor=owner, at=at, reason="a hunch",
                weights={"champion": 0.3, "challenger": 0.7}, context="turbulent",
            )  # fmt: skip
        regimes = rng.choice(["calm", "turbulent", "unheard of"], N_UNITS, p=[0.5, 0.4, 0.1])
        units = [
            Unit(f"{day}-{place}", {"regime": str(regime)}) for place, regime in enumerate(regimes)
        ]
        met = assign_units(experiment_id=made.public_id, units=units, actor=owner, at=at)
        for one in met:
            better = 1.0 if one.context == "calm" else -1.0
            value = rng.standard_normal() + better * (one.arm == "challenger")
            rows.append((day, one.context, one.allocation, one.arm, value, one.unit))
        sent = [
            {"metric": "return", "value": value, "unit": unit,
             "at": (at + timedelta(minutes=5)).isoformat()}
            for _, _, _, _, value, unit in rows[-N_UNITS:]
        ]  # fmt: skip
        receipt = record_outcomes(
            experiment_id=made.public_id, sent=of_rows(sent), actor=owner,
            at=at + timedelta(minutes=6),
        )  # fmt: skip
        assert receipt.accepted == N_UNITS
    return made, rows


def differences(rows):
    """Return by day the traffic and the difference of each context, from single outcomes."""
    found = {}
    for day in range(N_DAYS):
        for context in ("calm", "turbulent"):
            mine = [row for row in rows if row[0] == day and row[1] == context]
            by_arm = [
                [value for *_, arm, value, _ in mine if arm == name]
                for name in ("champion", "challenger")
            ]
            if all(by_arm):
                found[day, context] = len(mine), np.mean(by_arm[1]) - np.mean(by_arm[0])
    return found


class TestAnalyzeExperiment:
    def test_finds_what_single_outcomes_say(self):
        made, rows = fed(account("researcher"))

        analysis = jobs.analyze_experiment(experiment_id=made.public_id)

        by_hand = differences(rows)
        for found in analysis.findings["contexts"]:
            mine = [d for (_, context), (_, d) in by_hand.items() if context == found["context"]]
            one = found["comparisons"][0]
            assert found["n_periods"] == len(mine)
            assert found["n_exposed"] == sum(row[1] == found["context"] for row in rows)
            assert one["estimate"] == pytest.approx(np.mean(mine))
        overall = 0.0
        for context in ("calm", "turbulent"):  # what lacked an arm counts as its other days do
            traffic = [sum(row[:2] == (day, context) for row in rows) for day in range(N_DAYS)]
            mine = {day: d for (day, own), (_, d) in by_hand.items() if own == context}
            own = np.average(list(mine.values()), weights=[traffic[day] for day in mine])
            overall += sum(traffic) / len(rows) * own
        primary = analysis.findings["metrics"][0]["comparisons"][0]
        assert primary["estimate"] == pytest.approx(overall)
        assert not analysis.findings["mismatch"]["is_mismatch"]

    def test_every_exposure_knows_the_probability_in_force_in_its_context(self):
        made, rows = fed(account("researcher"))
        jobs.analyze_experiment(experiment_id=made.public_id)  # it moves the shares
        arms = [arm.name for arm in made.arms.order_by("position")]
        shares = {one.number: one for one in selectors.list_allocations(made)}

        exposures = Exposure.objects.filter(experiment=made).select_related("arm")

        assert exposures.count() == N_DAYS * N_UNITS
        for one in exposures:
            allocation = shares[one.allocation]
            assert one.context == allocation.context
            assert one.probability == allocation.weights[arms.index(one.arm.name)]
            asked = one.attributes["regime"]
            assert one.context == (asked if asked != "unheard of" else "calm")
        assert {row[2] for row in rows} == {1, 2, 3}
        moved = shares[4], shares[5]
        assert [one.context for one in moved] == ["calm", "turbulent"]
        assert moved[0].weights[1] == pytest.approx(0.6)
        assert moved[1].weights[1] == pytest.approx(0.6)  # from 0.7, a step back

    def test_a_change_by_hand_puts_off_the_policy_in_its_own_context_alone(self):
        made, _ = fed(account("researcher"))
        services.reallocate(
            experiment_id=made.public_id, actor=made.owner, at=timezone.now(), reason="a hunch",
            weights={"champion": 0.4, "challenger": 0.6}, context="turbulent",
        )  # fmt: skip

        jobs.analyze_experiment(experiment_id=made.public_id)

        moved = selectors.list_allocations(made).filter(cause="policy")
        assert [one.context for one in moved] == ["calm"]
