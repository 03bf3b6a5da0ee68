"""docs/specs.md says what a spec can say: its examples are valid, and it leaves no key out."""

import re
from pathlib import Path

import pytest
import yaml

from backtests.runspec import SECTIONS, RunSpec, search_of
from backtests.search import plan
from strategies.pipeline import spec as pipeline
from strategies.selectors import builtin_examples

TEXT = (Path(__file__).parents[3] / "docs" / "specs.md").read_text()
EXAMPLES = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
PARTS = (
    pipeline.BuyAndHold, pipeline.MovingAverageCross, pipeline.Momentum, pipeline.EqualWeight,
    pipeline.GivenWeights, pipeline.EveryNBars, pipeline.OnNewPeriod, pipeline.OnChange,
    pipeline.Once,
)  # fmt: skip


class TestSpecs:
    def test_has_an_example_of_every_kind(self):
        assert [example["kind"] for example in EXAMPLES] == ["backtest", *SECTIONS]

    @pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["kind"])
    def test_has_examples_that_are_valid(self, example):
        document = RunSpec.model_validate(example).document()

        strategies = document.get("comparison", {}).get("strategies", {"": document["strategy"]})
        for strategy in strategies.values():
            if isinstance(strategy, str):
                assert strategy in builtin_examples()
            else:
                pipeline.StrategySpec.model_validate(strategy)
        if document["kind"] not in ("backtest", "comparison"):
            assert plan(search_of(document)).n_trials > 1

    @pytest.mark.parametrize("part", PARTS)
    def test_names_every_key_of_a_strategy(self, part):
        kind = part.model_fields["kind"].annotation.__args__[0]

        for name in (kind, *part.model_fields):
            assert name == "kind" or f"`{name}`" in TEXT
