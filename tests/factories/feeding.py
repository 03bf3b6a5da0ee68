"""Experiments that run, and outcomes for them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User

from experiments import services
from experiments.models import Experiment

START = datetime(2026, 1, 5, tzinfo=UTC)
ARMS = [{"name": "champion", "control": True}, {"name": "challenger"}]
METRICS = [{"name": "return", "role": "primary"}]


def plan(**more: Any) -> dict[str, Any]:
    """Return a small plan of a shadow experiment."""
    return {
        "name": "momentum",
        "hypothesis": "The challenger earns more.",
        "arms": ARMS,
        "metrics": METRICS,
        "analysis": {"horizon_periods": 500},
        **more,
    }


def running(owner: User, at: datetime = START, **more: Any) -> Experiment:
    """Return an experiment that has started."""
    draft = services.create_experiment(document=plan(**more), actor=owner, at=at)
    return services.start_experiment(experiment_id=draft.public_id, actor=owner, at=at, reason="")


def of_arms(n: int, *, first: int = 0, at: datetime = START) -> list[dict[str, Any]]:
    """Return outcomes of a shadow experiment, one a minute."""
    return [
        {
            "metric": "return",
            "value": number * 0.25,
            "at": (at + timedelta(minutes=number)).isoformat(),
            "arm": ("champion", "challenger")[number % 2],
        }
        for number in range(first, first + n)
    ]
