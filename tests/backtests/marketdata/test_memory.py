"""Memory of an import does not grow with its rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = """
import sys, threading, time
from pathlib import Path
from backtests.marketdata.importer import import_file
from backtests.marketdata.options import ImportOptions

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

path, work = Path(sys.argv[1]), Path(sys.argv[2])
base, peak, done = anonymous(), [0.0], threading.Event()
def watch():
    while not done.wait(0.005):
        peak[0] = max(peak[0], anonymous())
thread = threading.Thread(target=watch)
thread.start()
import_file(path, ImportOptions(stamp="start", memory_mb=16, batch_rows=16384), work)
done.set()
thread.join()
print(peak[0] - base)
"""


def _write(path: Path, n_symbols: int, n_bars: int = 8_000) -> None:
    stamps = np.datetime_as_string(np.datetime64("2020-01-01T00:00") + np.arange(n_bars))
    close = np.round(100.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 1e-3, n_bars))), 4)
    with path.open("w") as stream:
        stream.write("ts,symbol,close,volume\n")
        for j in range(n_symbols):
            rows = zip(stamps, close, strict=True)
            stream.writelines(f"{t}:00Z,S{j:03d},{c},{j + 1}\n" for t, c in rows)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
class TestImportFileMemory:
    def test_four_times_the_rows_take_about_the_same_memory(self, tmp_path):
        # Both files are larger than what the parser reads ahead (32 MB): below that the memory
        # still fills up, and a comparison says nothing. They differ by 140 MB.
        peaks = []
        for n_symbols in (160, 640):
            path, work = tmp_path / f"{n_symbols}.csv", tmp_path / f"work{n_symbols}"
            _write(path, n_symbols)
            work.mkdir()
            command = [sys.executable, "-c", SCRIPT, str(path), str(work)]
            root = Path(__file__).resolve().parents[3]
            result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
            peaks.append(float(result.stdout))

        assert peaks[1] < peaks[0] + 60.0
