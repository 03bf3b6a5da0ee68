"""The examples of docs/bandits.md run, and its table has every policy."""

import re
from pathlib import Path

import pytest

from experiments.bandits import POLICIES

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "bandits.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


class TestDocumentation:
    @pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
    def test_has_examples_that_run(self, example):
        exec(compile(example, "docs/bandits.md", "exec"), {})  # noqa: S102  # our own text

    def test_names_every_policy(self):
        for name, policy in POLICIES.items():
            assert f"`{policy.__name__}` ({name})" in TEXT
            assert f"| {name} |" in TEXT
