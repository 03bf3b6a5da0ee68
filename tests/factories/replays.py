"""Finished backtests of several strategies on one market, and replays of them."""

from typing import Any

from django.contrib.auth.models import User

from backtests import services
from backtests.models import Run
from tests.factories.backtests import AT, STRATEGY, queued
from tests.factories.working import execute

POLICIES: list[Any] = ["thompson_normal", {"kind": "epsilon_greedy", "epsilon": 0.1}]


def strategy(slow_bars: int) -> dict[str, Any]:
    """Return a crossing of averages that is slower or quicker than the usual one."""
    return {**STRATEGY, "signals": [{**STRATEGY["signals"][0], "slow_bars": slow_bars}]}


def finished_arms(owner: User, dataset: str = "tiny", **more: Any) -> dict[str, Run]:
    """Return backtests that have ended, by label."""
    asked: dict[str, Any] = {"hold": "buy_and_hold", "quick": strategy(5), "slow": strategy(8)}
    return {
        label: execute(queued(owner, dataset, **{"strategy": one} | more))
        for label, one in asked.items()
    }


def document(runs: dict[str, Run], **section: Any) -> dict[str, Any]:
    """Return the spec of a replay with few repetitions."""
    ids = {label: str(run.public_id) for label, run in runs.items()}
    usual = {"runs": ids, "policies": POLICIES, "repetitions": 20}
    return {"kind": "replay", "replay": usual | section, "seed": 7}


def queued_replay(owner: User, runs: dict[str, Run], **section: Any) -> Run:
    """Queue a replay through the service."""
    return services.queue_run(document=document(runs, **section), actor=owner, at=AT)
