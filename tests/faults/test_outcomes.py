"""Whatever is killed while outcomes come in, and however often they are sent, each counts once."""

import http.client
import json
import os
import signal
import socket
import sys
import threading
from datetime import datetime, timedelta

import numpy as np
import pytest

from tests.crowetrade_site.embedded.faults import wait_until
from tests.faults.installation import PATIENCE, Installation

pytestmark = pytest.mark.faults

N_BATCHES, BATCH = 30, 1_000
PLAN = """
name: momentum
hypothesis: The challenger earns more.
arms: [{name: champion, control: true}, {name: challenger}]
metrics: [{name: return, role: primary}]
analysis: {horizon_periods: 500}
"""
COUNTS = """
SELECT (SELECT count(*) FROM experiments_outcomekey), (SELECT count(*) FROM experiments_outcome),
       (SELECT sum(n)::bigint FROM experiments_periodstatistic),
       (SELECT sum(total) FROM experiments_periodstatistic),
       (SELECT sum(value) FROM experiments_outcome),
       (SELECT sum(n)::bigint FROM experiments_tally WHERE reason = 'accepted')
"""


class Feeder(threading.Thread):
    """Sends batches one after the other, each until it is answered, and some once more."""

    def __init__(self, port: int, path: str, token: str, bodies: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.port, self.path, self.bodies = port, path, bodies
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.n_done = self.n_failed = 0

    def run(self) -> None:
        for number, body in enumerate(self.bodies):
            while not self.send(body):
                self.n_failed += 1
                threading.Event().wait(0.05)
            if number % 5 == 0:
                self.send(body)
            self.n_done += 1

    def send(self, body: bytes) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            line.request("POST", self.path, body, self.headers)
            return line.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            line.close()


def start_web(site: Installation) -> int:
    """Start a web server of one worker and return its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    site.start(
        "web", sys.executable, "-m", "gunicorn", "crowetrade_site.wsgi:application",
        "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--workers", "1",
        "--threads", "4", "--no-control-socket",
    )  # fmt: skip
    return port


def batches(start: datetime, values: np.ndarray) -> list[bytes]:
    """Return the bodies of outcomes, a millisecond apart from the start on."""
    rows = [
        {
            "metric": "return",
            "value": float(value),
            "at": (start + timedelta(milliseconds=number)).isoformat(),
            "arm": ("champion", "challenger")[number % 2],
        }
        for number, value in enumerate(values)
    ]
    return [
        json.dumps({"outcomes": rows[at : at + BATCH]}).encode()
        for at in range(0, len(rows), BATCH)
    ]


class TestKilledWorker:
    def test_loses_and_doubles_nothing(self, site):
        plan = site.home / "plan.yaml"
        plan.write_text(PLAN)
        site.manage("create_experiment", str(plan))
        made = json.loads(site.manage("start_experiment", "momentum", "--json"))
        start = datetime.fromisoformat(
            json.loads(site.manage("show_experiment", "momentum", "--json"))["started_at"]
        )
        scopes = ("--scope", "experiments:feed", "--json")
        token = json.loads(site.manage("create_token", "console", *scopes))["token"]
        values = np.random.default_rng(1).standard_normal(N_BATCHES * BATCH)
        port = start_web(site)
        path = f"/api/v1/experiments/{made['id']}/outcomes/"
        feeders = [
            Feeder(port, path, token, half)
            for half in (batches(start, values)[::2], batches(start, values)[1::2])
        ]
        for feeder in feeders:
            feeder.start()

        for n_done in (5, 15):
            wait_until(lambda least=n_done: sum(f.n_done for f in feeders) >= least, PATIENCE)
            for worker in site.children("web"):
                os.kill(worker, signal.SIGKILL)
        for feeder in feeders:
            feeder.join(PATIENCE)

        assert sum(feeder.n_done for feeder in feeders) == N_BATCHES
        assert any(feeder.n_failed for feeder in feeders)
        ((keys, raw, n, total, raw_total, accepted),) = site.query(COUNTS)
        assert keys == raw == n == accepted == values.size
        np.testing.assert_allclose([total, raw_total], values.sum(), rtol=1e-9)
