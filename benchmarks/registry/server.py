"""A web server as `manage.py serve` starts it."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import free_port
from benchmarks.registry import ROOT

ADDRESS = ("127.0.0.1", free_port())


@contextmanager
def web(folder: str) -> Iterator[subprocess.Popen[bytes]]:
    """Serve until the end; logs go to the folder."""
    host, port = ADDRESS
    argv = [
        *(sys.executable, "-m", "gunicorn", "crowetrade_site.wsgi:application"),
        *("--bind", f"{host}:{port}", "--no-control-socket"),
        *("--worker-class", "crowetrade_site.web.BalancedWorker"),
        *("--workers", "2", "--threads", "4", "--timeout", "60", "--keep-alive", "60"),
    ]
    with Path(folder, "web.log").open("wb") as log:
        server = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log)
    try:
        for _ in range(300):
            time.sleep(0.2)
            with socket.socket() as probe:
                if probe.connect_ex(ADDRESS) == 0:
                    break
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
