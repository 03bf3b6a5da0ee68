import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


class TestImports:
    def test_stay_light_and_know_no_engine(self):
        program = (
            "import sys, backtests.validation\n"
            "heavy = {'scipy.stats', 'arch', 'statsmodels', 'pandas', 'django', "
            "'backtests.engine', 'scipy.cluster'}\n"
            "print(sorted(heavy & set(sys.modules)))"
        )

        found = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )

        assert found.stdout.strip() == "[]"
