"""What docs/registry.md tells people to type, typed against a running site."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from crowetrade_site.core.roles import Role
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion
from tests.factories.accounts import account, token
from tests.factories.registry import bring_evidence, model_version

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "registry.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
(PREDICTORS,) = re.findall(r"```yaml\n(# predictors.yaml.*?)```", PAGE.read_text(), re.DOTALL)
SETTLE = "\ndeclare -p MODEL VERSION > state\n"


@pytest.fixture
def shell(tmp_path, live_server, transactional_db):
    """Run a block in one shell after the other; what it set is there in the next."""
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    roles = {
        "RESEARCHER": Role.RESEARCHER, "VALIDATOR": Role.VALIDATOR,
        "SECOND_VALIDATOR": Role.VALIDATOR, "OPERATOR": Role.OPERATOR,
    }  # fmt: skip
    people = {name: account(role) for name, role in roles.items()}
    known = {name: token(person) for name, person in people.items()}
    known |= {"API": f"{live_server.url}/api/v1", "PATH": "/usr/local/bin:/usr/bin:/bin"}

    def run(block: str) -> str:
        state = "[ -f state ] && . ./state\n"
        script = f"set -eo pipefail\n{state if (tmp_path / 'state').exists() else ''}"
        done = subprocess.run(
            ["bash", "-c", f"{script}{BLOCKS[0]}{block}{SETTLE}"], env=known, cwd=tmp_path,
            check=False,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


class TestCommands:
    def test_register_use_promote_and_go_back(self, shell, tmp_path):
        _, register, use, promote, stop, *_ = BLOCKS
        roll_back, revoke = stop.splitlines()

        shell(register)
        version = ModelVersion.objects.get()
        ModelVersion.objects.update(status=VersionStatus.READY)  # a worker has looked at it
        bring_evidence(version, at=timezone.now())
        shell(use)
        written, served = (
            (tmp_path / name).read_text() for name in ("parameters.json", "served.json")
        )
        assert served == written != ""
        shell(promote)
        version.refresh_from_db()
        assert version.stage == Stage.PRODUCTION

        earlier = model_version(version.created_by, model=version.registered_model)
        ModelVersion.objects.filter(pk=earlier.pk).update(
            stage=Stage.ARCHIVED,
            was_production_at=timezone.now(),
            left_development_at=timezone.now(),
        )
        shell(roll_back)
        earlier.refresh_from_db()
        assert earlier.stage == Stage.PRODUCTION
        shell(f"VERSION={earlier.public_id}\n{revoke}")
        assert not ModelVersion.objects.filter(stage=Stage.PRODUCTION).exists()

    def test_convert_a_pickle(self, shell):
        author = User.objects.get(groups__name=Role.RESEARCHER)
        version = model_version(author, status=VersionStatus.QUARANTINED)
        ModelVersion.objects.update(format="pickle")

        shell(f"MODEL= VERSION= PICKLE={version.public_id}\n{BLOCKS[-2]}")

        assert version.conversions.get().rows == [[1.0, 2.0], [0.5, -1.0]]

    def test_take_a_predictor_up_by_a_policy_of_its_own(self, shell, tmp_path):
        author = User.objects.get(groups__name=Role.RESEARCHER)
        version = model_version(author)
        (tmp_path / "predictors.yaml").write_text(PREDICTORS)
        ids = f"MODEL={version.registered_model.public_id}\nVERSION={version.public_id}"

        shell(f"{ids}\n{BLOCKS[-1]}")

        version.refresh_from_db()
        assert version.stage == Stage.STAGING
        assert version.requests.get().policy.name == "predictors"
