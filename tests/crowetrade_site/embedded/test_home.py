import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowetrade_site.embedded import home as homes
from crowetrade_site.embedded.errors import EmbeddedError


class TestHome:
    def test_is_made_private(self, tmp_path, monkeypatch):
        monkeypatch.setenv("CROWETRADE_HOME", str(tmp_path / "new" / "home"))

        assert stat.S_IMODE(homes.home().stat().st_mode) == 0o700

    def test_is_anchored_to_the_project_not_to_the_working_directory(self, tmp_path, monkeypatch):
        made = []
        monkeypatch.setattr(homes, "folder", lambda path: made.append(path) or path)
        monkeypatch.setenv("CROWETRADE_HOME", "var/ct")
        monkeypatch.chdir(tmp_path)

        homes.home()
        monkeypatch.delenv("CROWETRADE_HOME")
        homes.home()

        assert made == [homes.PROJECT_ROOT / "var/ct", homes.PROJECT_ROOT / ".crowetrade"]
        assert (homes.PROJECT_ROOT / "crowetrade_site").is_dir()

    def test_a_link_and_its_target_are_one_home(self, tmp_path, monkeypatch):
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        monkeypatch.setenv("CROWETRADE_HOME", str(tmp_path / "link"))

        assert homes.home() == tmp_path / "real"

    @pytest.mark.parametrize("inside", ["", "deeper"])
    def test_says_that_a_file_is_in_the_way(self, tmp_path, monkeypatch, inside):
        (tmp_path / "home").write_text("")
        monkeypatch.setenv("CROWETRADE_HOME", str(tmp_path / "home" / inside))

        with pytest.raises(EmbeddedError, match=r"a file is in the way.*CROWETRADE_HOME"):
            homes.home()

    def test_says_that_the_disk_cannot_be_written(self, monkeypatch):
        # sysfs refuses new folders even to root.
        monkeypatch.setenv("CROWETRADE_HOME", "/sys/crowetrade")

        with pytest.raises(EmbeddedError, match="cannot be written"):
            homes.home()


class TestSocketDir:
    @given(st.integers(1, 300))
    def test_a_socket_always_fits_the_kernels_limit(self, length):
        sockets = homes.socket_dir(Path("/" + "x" * length))

        assert len(os.fsencode(sockets / homes.LONGEST_SOCKET)) < 108

    def test_is_in_the_home_where_it_fits(self):
        assert homes.socket_dir(Path("/srv/ct")) == Path("/srv/ct/run")

    def test_differs_between_homes_and_ignores_the_session(self, tmp_path, monkeypatch):
        long = tmp_path / ("x" * 100)
        before = homes.socket_dir(long)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        monkeypatch.setenv("TMPDIR", str(tmp_path))

        assert homes.socket_dir(long) == before
        assert homes.socket_dir(tmp_path / ("y" * 100)) != before


class TestOpenSocketDir:
    @pytest.fixture
    def long_home(self, home):
        path = home / ("x" * 100)
        path.mkdir()
        yield path
        short = homes.socket_dir(path)
        if short.is_symlink():
            short.unlink()
        elif short.is_dir():
            short.rmdir()

    def test_is_made_private(self, long_home):
        made = homes.open_socket_dir(long_home)

        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert homes.open_socket_dir(long_home) == made

    def test_refuses_a_folder_that_others_can_read(self, long_home):
        homes.socket_dir(long_home).mkdir(mode=0o755)

        with pytest.raises(EmbeddedError, match="not a private folder"):
            homes.open_socket_dir(long_home)

    def test_refuses_a_link(self, long_home, tmp_path):
        homes.socket_dir(long_home).symlink_to(tmp_path)

        with pytest.raises(EmbeddedError, match="not a private folder"):
            homes.open_socket_dir(long_home)

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make another account's folder")
    def test_refuses_another_accounts_folder(self, long_home):
        homes.socket_dir(long_home).mkdir(mode=0o700)
        os.chown(homes.socket_dir(long_home), 65534, 65534)

        with pytest.raises(EmbeddedError, match="not a private folder"):
            homes.open_socket_dir(long_home)
