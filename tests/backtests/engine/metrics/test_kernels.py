"""Compiled kernels give what the same lines give as plain Python."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from backtests.engine.metrics import compute_metrics

ROOT = Path(__file__).resolve().parents[4]
PROGRAM = """
import json, sys
import numpy as np
sys.path.insert(0, {tests!r})
from conftest import Sample, activity_of, trades_of
from backtests.engine.metrics import Conventions, Trials, compute_metrics
sample = Sample()
with np.errstate(all="ignore"):
    found = compute_metrics(
        sample.equity, sample.long_ts, activity=activity_of(757), trades=trades_of(50),
        benchmark=sample.benchmark, trials=Trials(20, 0.4), periods_per_year=252,
        conventions=Conventions(risk_free_rate=0.02, target_return=0.01),
    )
print(json.dumps(found.values_by_name()))
"""


def figures(**environment):
    program = PROGRAM.format(tests=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


class TestAllKernels:
    def test_agree_with_plain_python_bit_for_bit(self):
        compiled, plain = figures(), figures(NUMBA_DISABLE_JIT="1")

        assert None not in compiled.values()
        assert plain == compiled

    def test_leave_their_inputs_alone(self, sample):
        equity, benchmark = sample.equity.copy(), sample.benchmark.copy()

        compute_metrics(equity, sample.ts, benchmark=benchmark)

        np.testing.assert_array_equal(equity, sample.equity)
        np.testing.assert_array_equal(benchmark, sample.benchmark)
