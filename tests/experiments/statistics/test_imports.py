import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


class TestImports:
    def test_stay_light_and_know_no_framework(self):
        program = (
            "import sys, experiments.statistics\n"
            "heavy = {'scipy.stats', 'scipy.optimize', 'statsmodels', 'pandas', 'django', "
            "'backtests', 'registry'}\n"
            "print(sorted(heavy & set(sys.modules)))"
        )

        found = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )

        assert found.stdout.strip() == "[]"
