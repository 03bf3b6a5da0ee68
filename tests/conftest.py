"""Fixtures that every part of the suite may use."""

import gc
import os
import resource
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says how busy the machine is; benchmarks measure, on one that is not.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
MOST_MEMORY = 12 << 30  # bytes of a process; what it only reserves does not count


def pytest_addoption(parser):
    """Let the golden files be written anew; their difference is for a person to review."""
    parser.addoption("--regold", action="store_true", help="rewrite tests/golden from this code")


def pytest_configure():
    """Let what asks for too much memory fail by its name; else the machine kills the worker."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, hard))


def pytest_collection_finish():
    """Let the garbage collector look past modules and tests, which stay: a sixth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def golden(request):
    """Compare a text with a golden file, or write the file under --regold."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--regold"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert path.is_file(), f"{path} is missing; write it with: pytest --regold"
        assert text == path.read_text(), f"{name} differs; if it should: pytest --regold"

    return compare


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real market data, which the project does not contain."""
    folder = Path(os.environ.get("CROWETRADE_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "MANIFEST.csv").is_file():
        pytest.skip(f"no market data at {folder}; set CROWETRADE_DATA to a folder that has it")
    return folder


@pytest.fixture
def at() -> datetime:
    """A moment handed in as 'now'."""
    return datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_places(settings, tmp_path):
    """Give every test its own store, key and checkpoints; none may touch the real home."""
    settings.HOME_DIR = tmp_path
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.ARTIFACT_CACHE = tmp_path / "cache"
    settings.AUDIT_SIGNING_KEY = tmp_path / "audit" / "signing_key.pem"
    settings.AUDIT_CHECKPOINTS = tmp_path / "audit"
    settings.STORAGES = settings.STORAGES | {
        "artifacts": {
            "BACKEND": "crowetrade_site.core.storage.WriteOnceFileSystemStorage",
            "OPTIONS": {"location": tmp_path / "artifacts"},
        }
    }


@pytest.fixture
def make_user(db):
    """Make users by role name; without one, a superuser."""
    from django.contrib.auth.models import Group, User

    def make(*roles: str, name: str = ""):
        name = name or "-".join(roles) or "root"
        user = User.objects.create_user(name, password="pw", is_staff=True, is_superuser=not roles)
        groups = [Group.objects.get_or_create(name=role)[0] for role in roles]  # a flush takes them
        user.groups.set(groups)
        return user

    return make


@pytest.fixture
def researcher(make_user):
    """A user who may import data and queue runs."""
    return make_user("researcher")
