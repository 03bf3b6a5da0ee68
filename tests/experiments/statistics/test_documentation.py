"""docs/statistics.md: its example runs, and it leaves no public function out."""

import re
from pathlib import Path

import pytest

import experiments.statistics as public

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "statistics.md").read_text()
FUNCTIONS = [
    name for name in public.__all__ if name.islower() and name not in {"figure_of", "robust_lag"}
]


class TestStatistics:
    @pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
    def test_has_examples_that_run(self, block, capsys):
        exec(compile(block, "docs/statistics.md", "exec"), {})  # noqa: S102  # our own text

        assert "Newey-West" in capsys.readouterr().out

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_names_every_function(self, name):
        assert f"`{name}`" in TEXT
