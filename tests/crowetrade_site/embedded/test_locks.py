import os
import subprocess
import sys

import pytest

from crowetrade_site.embedded import locks
from crowetrade_site.embedded.errors import EmbeddedError


class TestTryLock:
    def test_two_may_share(self, tmp_path):
        held = [locks.try_lock(tmp_path / "l", locks.SHARED) for _ in range(2)]

        assert None not in held
        for one in held:
            os.close(one)

    def test_gives_nothing_while_another_holds_it(self, tmp_path):
        held = locks.try_lock(tmp_path / "l", locks.SHARED)

        assert locks.try_lock(tmp_path / "l", locks.EXCLUSIVE) is None
        os.close(held)
        os.close(locks.try_lock(tmp_path / "l", locks.EXCLUSIVE))

    def test_a_file_left_by_a_dead_process_means_nothing(self, tmp_path):
        path = tmp_path / "l"
        code = (
            "import os, sys; from pathlib import Path; from crowetrade_site.embedded import locks;"
            "locks.try_lock(Path(sys.argv[1]), locks.EXCLUSIVE); os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", code, str(path)], check=False)

        assert path.exists()
        os.close(locks.try_lock(path, locks.EXCLUSIVE))

    def test_is_not_inherited_by_a_program(self, tmp_path):
        held = locks.try_lock(tmp_path / "l", locks.EXCLUSIVE)

        assert not os.get_inheritable(held)
        os.close(held)

    def test_says_that_a_folder_is_in_the_way(self, tmp_path):
        (tmp_path / "l").mkdir()

        with pytest.raises(EmbeddedError, match=r"is a folder\. Move"):
            locks.try_lock(tmp_path / "l", locks.SHARED)


class TestExclusive:
    def test_names_the_holder_to_whoever_waits_too_long(self, tmp_path):
        with locks.exclusive(tmp_path / "l", seconds=1, purpose="a"):  # noqa: SIM117
            with pytest.raises(EmbeddedError, match=f"waiting to b: .* process {os.getpid()}"):
                with locks.exclusive(tmp_path / "l", seconds=0.05, purpose="b"):
                    pass

    def test_lets_go_after_an_error(self, tmp_path):
        with pytest.raises(KeyError), locks.exclusive(tmp_path / "l", seconds=1, purpose="a"):
            raise KeyError

        with locks.exclusive(tmp_path / "l", seconds=0, purpose="a"):
            pass


class TestIsFileOf:
    def test_notices_that_the_file_was_replaced(self, tmp_path):
        held = locks.try_lock(tmp_path / "l", locks.SHARED)
        assert locks.is_file_of(held, tmp_path / "l")

        (tmp_path / "l").unlink()

        assert not locks.is_file_of(held, tmp_path / "l")
        os.close(held)
