"""Commands on a bare machine: they start what they need and leave nothing running."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from backtests.management.commands.demo import PRICES
from tests.crowetrade_site.embedded.faults import wait_until
from tests.faults.conftest import furnish

pytestmark = pytest.mark.faults


class TestRunWait:
    def test_lends_a_worker_and_takes_it_back(self, site):
        spec = furnish(site, n_bars=5_000, n_assets=2)

        answer = json.loads(site.manage("run", str(spec), "--wait", "--json"))

        assert answer["status"] == "succeeded"
        assert len(answer["result_digest"]) == 64
        assert answer["metrics"]["sharpe"] is not None
        wait_until(lambda: not site.members())


class TestDemo:
    def test_works_twice_and_leaves_nothing_running(self, site):
        for package in {package for package, *_ in PRICES.values()}:
            if find_spec(package) is None:  # its own requirements are not installed: no import
                pytest.skip(f"the demonstration's prices ({package}): requirements/demo.txt")
        answers = []
        for name in ("first.html", "second.html"):
            out = site.home / name
            answers.append(json.loads(site.manage("demo", "--json", "--out", str(out))))
            wait_until(lambda: not site.members())

        first, second = answers
        assert first["digests"] == second["digests"]
        assert first["runs"] != second["runs"]
        assert all(Path(answer["report"]).stat().st_size > 100_000 for answer in answers)
