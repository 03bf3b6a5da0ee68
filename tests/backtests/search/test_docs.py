"""The documents shown in docs/search.md are documents."""

import re
from pathlib import Path

import pytest

from backtests.engine.metrics import DEFINITIONS
from backtests.search import plan
from crowetrade_site.core import documents

PAGE = Path(__file__).parents[3] / "docs" / "search.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


class TestPage:
    @pytest.mark.parametrize("text", BLOCKS, ids=lambda text: text.split("\n")[0])
    def test_shows_documents_that_are_taken(self, text):
        search = plan(documents.loads(text), metrics=DEFINITIONS)

        trials = search.ask()

        assert trials
        assert all(search.space.broken(trial.parameters) is None for trial in trials)

    def test_shows_the_rungs_there_are(self):
        halving = next(text for text in BLOCKS if "halving" in text)

        rungs = plan(documents.loads(halving), metrics=DEFINITIONS).method.rungs

        assert [rung.n_trials for rung in rungs] == [81, 27, 9]
        assert [rung.budget for rung in rungs] == pytest.approx([1 / 9, 1 / 3, 1])
