"""What docs/replay.md tells people to type, typed in a shell against a database."""

import csv
import os
import random
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection

from backtests.lifecycle import RunKind, RunStatus
from backtests.models import Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "replay.md").read_text(), re.DOTALL)
# In place of manage.py: the same commands, whose runs are computed by the process that waits.
DRIVER = """
import sys
import django

django.setup()
from django.core.management import call_command

from backtests import jobs, selectors
from backtests.management.commands.run import Command


def watch(self, run, timeout):
    jobs.execute_run(run_id=run.public_id, worker="docs")
    return selectors.get_run(run.public_id)


Command.watch = watch
call_command(*sys.argv[1:])
"""


def write_closes(path: Path, *, n_days: int = 200) -> Path:
    """Write closes that wander, a column an instrument."""
    wander, prices, day = random.Random(3), [100.0, 50.0, 20.0], date(2020, 1, 1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", "AAA", "BBB", "CCC"])
        for _ in range(n_days):
            day += timedelta(days=3 if day.weekday() == 4 else 1)
            prices = [round(price * (1 + wander.gauss(0.0005, 0.01)), 4) for price in prices]
            writer.writerow([day, *prices])
    return path


def address_of_database() -> str:
    """Return the test database as the environment names it."""
    known = connection.settings_dict
    who = quote(known["USER"] or "") + (f":{quote(known['PASSWORD'])}" if known["PASSWORD"] else "")
    place = quote(known["HOST"] or "", safe="") + (f":{known['PORT']}" if known["PORT"] else "")
    at = f"{who}@{place}" if who else place
    return f"postgresql://{at}/{known['NAME']}"


@pytest.fixture
def shell(tmp_path, settings):
    """Run a script in which `python manage.py` is the driver."""
    from django.contrib.auth.models import Group

    Group.objects.get_or_create(name="admin")
    (tmp_path / "manage.py").write_text(DRIVER)
    known = os.environ | {
        "PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": address_of_database(), "CROWETRADE_HOME": str(tmp_path / "home"),
        "CROWETRADE_ARTIFACT_ROOT": str(settings.ARTIFACT_ROOT),
        "PRICES": str(write_closes(tmp_path / "closes.csv")),
    }  # fmt: skip

    def run(script: str) -> str:
        mapped = f'set -eo pipefail\npython() {{ {sys.executable} "$@"; }}\n{script}'
        done = subprocess.run(
            ["bash", "-c", mapped], env=known, cwd=tmp_path, check=False, capture_output=True,
            text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


class TestCommands:
    def test_replay_two_runs_and_print_a_table(self, shell):
        said = shell("\n".join(BLOCKS)).splitlines()

        run = Run.objects.get(kind=RunKind.REPLAY)
        assert run.status == RunStatus.SUCCEEDED, run.problem
        head = next(at for at, line in enumerate(said) if line.startswith("  policy"))
        names = [line.split("  ")[1] for line in said[head + 1 : head + 6]]
        assert names == [
            "thompson_normal", "linear_thompson", "epsilon_greedy, epsilon 0.1",
            "leader", "uniform",
        ]  # fmt: skip
        assert any("turbulent 1" in line for line in said)
        assert len({len(line) for line in said[head : head + 5]}) == 1, "aligned"
        assert any(line.startswith("An experiment would have") for line in said)
