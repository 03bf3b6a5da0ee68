"""Every move of every lifecycle, against tables written out by hand."""

from itertools import product

import pytest

from backtests.lifecycle import DATASETS, RUNS, DatasetStatus, RunStatus
from crowetrade_site.core.errors import IllegalTransition
from crowetrade_site.core.lifecycle import Lifecycle
from experiments.lifecycle import EXPERIMENTS, ExperimentStatus
from registry.lifecycle import STAGES, Stage
from strategies.lifecycle import STRATEGIES, StrategyStatus

ALLOWED = {
    "stages": (
        STAGES,
        Stage,
        {
            "development": "testing archived",
            "testing": "development staging archived",
            "staging": "development production archived",
            "production": "archived",
            "archived": "development production",
        },
    ),
    "experiments": (
        EXPERIMENTS,
        ExperimentStatus,
        {
            "draft": "running archived",
            "running": "paused concluded",
            "paused": "running concluded",
            "concluded": "archived",
            "archived": "",
        },
    ),
    "datasets": (
        DATASETS,
        DatasetStatus,
        {
            "importing": "ready refused",
            "ready": "quarantined",
            "quarantined": "ready",
            "refused": "",
        },
    ),
    "runs": (
        RUNS,
        RunStatus,
        {
            "queued": "running cancelled failed",
            "running": "succeeded failed cancelled queued",
            "succeeded": "",
            "failed": "",
            "cancelled": "",
        },
    ),
    "strategies": (STRATEGIES, StrategyStatus, {"draft": "frozen", "frozen": ""}),
}
PAIRS = [
    pytest.param(name, current, target, id=f"{name}-{current}-{target}")
    for name, (_, states, _table) in ALLOWED.items()
    for current, target in product(states, states)
]


class TestLifecycle:
    @pytest.mark.parametrize(("name", "current", "target"), PAIRS)
    def test_allows_exactly_the_moves_of_the_table(self, name, current, target):
        lifecycle, _, table = ALLOWED[name]
        is_allowed = target.value in table[current.value].split()

        assert lifecycle.allows(current, target) is is_allowed
        if is_allowed:
            lifecycle.check(current, target)
        else:
            with pytest.raises(IllegalTransition) as refusal:
                lifecycle.check(current, target)
            assert refusal.value.status == 409
            assert f"from {current} to {target}" in refusal.value.detail

    @pytest.mark.parametrize("name", ALLOWED)
    def test_has_every_state_as_a_key(self, name):
        lifecycle, states, table = ALLOWED[name]

        assert set(lifecycle.moves) == set(states)
        assert {state.value for state in states} == set(table)

    @pytest.mark.parametrize("name", ALLOWED)
    def test_never_moves_a_state_to_itself(self, name):
        lifecycle, states, _ = ALLOWED[name]

        assert not [state for state in states if lifecycle.allows(state, state)]

    @pytest.mark.parametrize("name", ALLOWED)
    def test_calls_terminal_what_has_no_way_out(self, name):
        lifecycle, _, table = ALLOWED[name]

        assert {state.value for state in lifecycle.terminal} == {
            state for state, targets in table.items() if not targets
        }

    def test_names_the_moves_there_are(self):
        with pytest.raises(IllegalTransition, match="it can go to: archived, production"):
            Lifecycle(
                "thing", {Stage.STAGING: frozenset({Stage.PRODUCTION, Stage.ARCHIVED})}
            ).check(Stage.STAGING, Stage.TESTING)

    def test_says_that_a_final_state_is_final(self):
        with pytest.raises(IllegalTransition, match="nothing, it is final"):
            RUNS.check(RunStatus.FAILED, RunStatus.QUEUED)
