"""What importing the package costs."""

import subprocess
import sys


class TestImport:
    def test_leaves_the_heavy_libraries_alone(self):
        program = (
            "import sys, backtests.search\n"
            "backtests.search.plan({'kind': 'tpe', 'over': {'a': [1, 2]}, 'n_trials': 4}).ask()\n"
            "backtests.search.plan({'kind': 'cma_es', 'over': {'a': [1, 2]}, 'n_trials': 4})\n"
            "heavy = {'optuna', 'cmaes', 'scipy', 'pandas', 'numba', 'django', 'sqlalchemy'}\n"
            "print(sorted(heavy & set(sys.modules)))\n"
        )

        answer = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )

        assert answer.stdout.strip() == "[]"
        assert answer.stderr == ""

    def test_keeps_optuna_quiet(self, capfd, caplog):
        import optuna

        from backtests.search import plan

        before = optuna.logging.get_verbosity()
        document = {"kind": "tpe", "over": {"a": {"low": 0.0, "high": 1.0}}, "n_trials": 8,
                    "generation": 4, "startup": 4}  # fmt: skip
        search = plan(document)
        search.tell(search.judge(trial, {"sharpe": 1.0}) for trial in search.ask())
        search.ask()

        assert capfd.readouterr() == ("", "")
        assert caplog.records == []
        assert optuna.logging.get_verbosity() == before
