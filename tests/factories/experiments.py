"""Experiments with sums as if outcomes had come in."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np
from django.contrib.auth.models import User

from experiments import services
from experiments.models import Experiment, PeriodStatistic
from tests.factories.registry import model_version

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DAY_NS = 86_400_000_000_000
_numbers = count(1)


def plan(**changes: Any) -> dict[str, Any]:
    """Return the smallest plan, with changes."""
    return {
        "name": f"experiment-{next(_numbers)}",
        "hypothesis": "The challenger earns more.",
        "arms": [{"name": "champion", "control": True}, {"name": "challenger"}],
        "metrics": [{"name": "return", "role": "primary"}],
        "analysis": {"horizon_periods": 100},
        **changes,
    }


def draft(owner: User, **changes: Any) -> Experiment:
    """Keep a plan as a draft."""
    return services.create_experiment(document=plan(**changes), actor=owner, at=AT)


def running(owner: User, **changes: Any) -> Experiment:
    """Start an experiment."""
    made = draft(owner, **changes)
    return services.start_experiment(experiment_id=made.public_id, actor=owner, at=AT)


def add_sums(
    experiment: Experiment, values: Any, *, metric: str = "return", at: datetime = AT,
    first: int = 0, allocation: int = 0,
) -> None:  # fmt: skip
    """Write the sums of one outcome a day and arm, shape (n_days, n_arms), from a day on."""
    table = np.atleast_2d(np.asarray(values, dtype=float))
    arms = sorted(experiment.arms.all(), key=lambda arm: arm.position)
    row = next(one for one in experiment.metrics.all() if one.name == metric)
    begin = int(AT.timestamp()) // 86_400 * DAY_NS
    PeriodStatistic.objects.bulk_create(
        PeriodStatistic(
            experiment=experiment, metric=row, arm=arm, allocation=allocation,
            period=begin + (first + day) * DAY_NS, shard=0, n=1, total=value,
            squares=value * value, changed_at=at,
        )
        for day, values_of_day in enumerate(table)
        for arm, value in zip(arms, values_of_day, strict=True)
    )  # fmt: skip


def returns(n_days: int, lift: float = 0.0, seed: int = 1, n_arms: int = 2) -> Any:
    """Return paired returns with a common market, the challengers' lifted."""
    rng = np.random.default_rng(seed)
    own = 0.002 * rng.standard_normal((n_days, n_arms))
    own[:, 1:] += lift
    return 0.01 * rng.standard_t(4, (n_days, 1)) + own


def later(**much: float) -> datetime:
    """Return a moment after the start."""
    return AT + timedelta(**much)


def weights_of(experiment: Experiment) -> Sequence[Sequence[float]]:
    """Return all shares that were in force, the oldest first."""
    return [one.weights for one in experiment.allocations.order_by("number")]


def alike(owner: User, **changes: Any) -> Experiment:
    """Keep a plan as a draft whose two arms, a and b, are the same version."""
    version = model_version(owner)
    uri = f"models:/{version.registered_model.name}/{version.number}"
    arms = [{"name": "a", "control": True, "model": uri}, {"name": "b", "model": uri}]
    return draft(owner, arms=arms, **changes)
