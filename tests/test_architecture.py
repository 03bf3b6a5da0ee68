"""The shape of the house, checked by import-linter and by reading the tree."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLANTED = {
    "backtests/engine/config.py": "import django",
    "numerics/moments.py": "import backtests",
    "backtests/validation/checks.py": "from backtests.validation import sharpe",
    "experiments/statistics/checks.py": "from experiments.statistics import srm",
    "registry/rules/__init__.py": "from crowetrade_site.core import errors",
    "registry/artifacts/streams.py": "from registry.artifacts import formats",
    "strategies/signals/__init__.py": "from strategies import pipeline",
    "crowetrade_site/core/canonical.py": "from backtests import models",
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = "from importlinter.cli import lint_imports_command as run; run()"
    argv = [sys.executable, "-c", command, "--no-cache"]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copied_house(tmp_path):
    import shutil

    for name in (
        "crowetrade_site",
        "registry",
        "experiments",
        "backtests",
        "strategies",
        "numerics",
    ):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.slow
class TestImportContracts:
    def test_hold(self):
        pytest.importorskip("importlinter", reason="import-linter comes with requirements/dev.txt")

        answer = lint(ROOT)

        assert answer.returncode == 0, answer.stdout

    @pytest.mark.parametrize("path", PLANTED)
    def test_break_on_a_planted_violation(self, copied_house, path):
        pytest.importorskip("importlinter", reason="import-linter comes with requirements/dev.txt")
        planted = copied_house / path
        planted.write_text(f"{planted.read_text()}\n{PLANTED[path]}\n")

        answer = lint(copied_house)

        assert answer.returncode != 0, f"{PLANTED[path]} in {path} went unnoticed"


class TestShells:
    @pytest.mark.parametrize("app", ["registry", "experiments", "backtests", "strategies"])
    def test_have_every_file_of_the_house(self, app):
        expected = ["apps", "models", "lifecycle", "querysets", "selectors", "services", "jobs",
                    "tasks", "admin"]  # fmt: skip

        missing = [
            name
            for name in expected
            if not ((ROOT / app / f"{name}.py").is_file() or (ROOT / app / name).is_dir())
        ]

        assert missing == []
