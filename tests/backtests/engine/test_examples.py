"""The examples of the documentation, one after the other, as a reader runs them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


class TestExamples:
    @pytest.mark.parametrize("page", ["docs/engine.md", "README.md"])
    def test_run(self, page, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        examples = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
        assert examples
        names = {}

        for example in examples:
            exec(compile(example, page, "exec"), names)  # noqa: S102  (our own pages)
