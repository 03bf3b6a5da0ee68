import os
import subprocess
import sys
from pathlib import Path

import numba

from numerics import compilation


class TestCacheDirectory:
    def test_is_where_numba_keeps_its_kernels(self):
        assert Path(numba.config.CACHE_DIR) == compilation.cache_directory()

    def test_stays_when_numba_reads_its_settings_anew(self, monkeypatch):
        monkeypatch.setenv("NUMBA_DEBUG_CACHE", "0")  # any of its settings, as workers set one

        numba.config.reload_config()

        assert Path(numba.config.CACHE_DIR) == compilation.cache_directory()

    def test_is_the_same_in_a_child(self):
        code = "from numerics.compilation import cache_directory; print(cache_directory())"

        told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

        assert Path(told.stdout.decode().strip()) == compilation.cache_directory()

    def test_follows_the_environment(self, tmp_path):
        code = "from numerics.compilation import cache_directory; print(cache_directory())"

        def printed(**extra):
            return subprocess.run(
                [sys.executable, "-c", code],
                env={**{k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}, **extra},
                check=True, capture_output=True, text=True,
            ).stdout.strip()  # fmt: skip

        key = compilation.cache_directory().name
        assert printed(NUMBA_CACHE_DIR=str(tmp_path)) == str(tmp_path / key)
        home = printed(CROWETRADE_HOME=str(tmp_path))
        assert home == str(tmp_path / "cache" / "numba" / key)


class TestSourceDigest:
    def test_changes_with_any_pure_source(self, tmp_path, monkeypatch):
        package = tmp_path / "numerics"
        package.mkdir()
        (package / "a.py").write_text("x = 1\n")
        monkeypatch.setattr(compilation, "_ROOT", tmp_path)

        before = compilation.source_digest.__wrapped__()
        (package / "a.py").write_text("x = 2\n")

        assert compilation.source_digest.__wrapped__() != before


class TestEnvironment:
    def test_names_what_equal_bytes_depend_on(self):
        assert set(compilation.environment()) == {"python", "numpy", "numba", "machine", "cpu"}
