"""The registry under load: reads, searches over 100,000 versions, loading, a large upload.

    python -m benchmarks registry                    all of it
    python -m benchmarks registry --versions 20000   a smaller registry
    python -m benchmarks registry --only load        requests, load or upload alone
    python -m benchmarks registry --only keys        searches by keys and walked, by size

A web server as `manage.py serve` starts it (two workers of four threads) on a loopback port, with
a home folder and a database that are thrown away; `DATABASE_URL` chooses the server, else it is the
embedded one. Eight clients keep a connection each. They ask twice: as fast as they are answered,
where what is measured is how long two processors take for eight requests at once, and each at a
steady pace, as people and programs do. Of several rounds the least counts, for each figure.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Measure in a child, since Django is set up once in a process, and for one place."""
    given = sys.argv[2:] if sys.argv[1:2] == ["registry"] else sys.argv[1:]
    options = given if given[:1] and given[0].startswith("-") else []
    argv = [sys.executable, "-m", "benchmarks.registry", *options]
    done = subprocess.run(argv, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.returncode)
