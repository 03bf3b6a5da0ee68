import re
from pathlib import Path

import pytest

from crowetrade_site.core import provenance


class TestCodeDigest:
    @pytest.mark.parametrize(
        ("source", "is_counted"),
        [
            ("backtests/engine/kernel.py", True),
            ("backtests/jobs/runs.py", True),
            ("numerics/hac.py", True),
            ("numerics/indicators/averages.py", True),
            ("strategies/pipeline/compose.py", True),
            ("registry/jobs.py", True),
            ("backtests/admin.py", False),
            ("backtests/api/views.py", False),
            ("backtests/management/commands/run.py", False),
            ("backtests/migrations/0001_initial.py", False),
            ("backtests/models.py", False),
            ("registry/services/stages.py", False),
            ("backtests/selectors/runs.py", False),
        ],
    )
    def test_covers_what_can_change_a_number(self, source, is_counted):
        assert provenance._counts(provenance.ROOT / source) is is_counted

    def test_changes_with_a_counted_source_alone(self, tmp_path, monkeypatch):
        def digest() -> str:
            provenance.code_digest.cache_clear()
            return provenance.code_digest()

        monkeypatch.setattr(provenance, "ROOT", tmp_path)
        kernel = tmp_path / "backtests" / "engine" / "kernel.py"
        page = tmp_path / "backtests" / "admin.py"
        kernel.parent.mkdir(parents=True)
        kernel.write_text("x = 1")
        before = digest()
        page.write_text("x = 1")
        (kernel.parent / "README.md").write_text("words")
        assert digest() == before

        kernel.write_text("x = 2")
        changed = digest()
        kernel.rename(kernel.with_name("other.py"))

        assert len({before, changed, digest()}) == 3
        provenance.code_digest.cache_clear()

    def test_changes_with_a_library(self, monkeypatch):
        before = provenance.code_digest()
        provenance.code_digest.cache_clear()
        monkeypatch.setattr(provenance, "library_versions", lambda: {"numpy": "0"})

        assert provenance.code_digest() != before
        provenance.code_digest.cache_clear()

    def test_is_a_sha_256_over_sources_that_exist(self):
        assert re.fullmatch(r"[0-9a-f]{64}", provenance.code_digest())
        assert all((Path(provenance.ROOT) / app).is_dir() for app in provenance.APPS)


class TestEnvironment:
    def test_names_versions_platform_and_cpu(self):
        found = provenance.environment()

        assert {"python", "numpy", "numba", "platform", "cpu", "cpu_features"} <= set(found)
        assert all(isinstance(value, str) and value for value in found.values())
