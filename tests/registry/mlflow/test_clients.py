"""Unmodified MLflow clients against a live server: `make mlflow-clients` installs them."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from crowetrade_site.core import storage
from registry import jobs, services
from registry.models import ModelVersion, PromotionRequest, RegisteredModel
from tests.factories.accounts import account, token
from tests.factories.registry import CARD, bring_evidence

ROOT = Path(__file__).resolve().parents[3]
SUITE = Path(__file__).with_name("client_suite.py")
N_CHECKS = 38
SECONDS = 240


class Server:
    """What a client asks to be done behind its back."""

    def __init__(self, author) -> None:
        self.author = author
        self.judges = [account("validator"), account("validator")]
        self.admits = "at once"

    def admit(self, how):
        """Say what becomes of versions from now on."""
        self.admits = how

    def look_at(self, version_id):
        """Look at a version with the job of the workers."""
        if self.admits == "at once":
            jobs.admit_version(version_id=version_id)

    def evidence(self, name, number):
        """Complete the card and hand in all that the default policy asks for."""
        at = timezone.now()
        version = ModelVersion.objects.get(registered_model__name=name, number=number)
        services.update_model(name=name, card=CARD, actor=self.author, at=at)
        bring_evidence(version, days_ago=0, at=at)
        services.attest_evidence(
            version_id=version.public_id, topic="kill-switch-drill", summary="Stopped in 0.4 s.",
            actor=self.judges[0], at=at,
        )  # fmt: skip

    def approve(self, name, n_people):
        """Approve the request that waits."""
        waiting = PromotionRequest.objects.filter(version__registered_model__name=name)
        request = waiting.get(status="open")
        for judge in self.judges[:n_people]:
            services.approve_promotion(request_id=request.public_id, actor=judge, at=timezone.now())

    def waive(self, name):
        """Grant a waiver to a quarantined version, which climbs with it and is served no more."""
        at = timezone.now()
        version = ModelVersion.objects.get(registered_model__name=name)
        services.grant_waiver(
            version_id=version.public_id, expires_at=at + timezone.timedelta(days=1),
            actor=account("admin"), at=at, reason="Looked at by hand.",
        )  # fmt: skip

    def key(self, role):
        """Return a key of somebody else."""
        return token(account(role))

    def tamper(self, name, number):
        """Write over a file of a version on the disk of the server."""
        version = ModelVersion.objects.get(registered_model__name=name, number=number)
        sha256 = next(f["sha256"] for f in version.manifest["files"] if f["path"] == "MLmodel")
        stored = Path(settings.ARTIFACT_ROOT) / storage.object_name(sha256)
        stored.chmod(0o600)
        stored.write_bytes(b"flavors: {}")


def converse(child, server):
    """Answer what the suite asks for until it ends; return what became of each check."""
    outcome = {}
    for line in child.stdout:
        try:
            word = json.loads(line)
        except ValueError:  # what a client tells a person
            continue
        if not isinstance(word, dict):
            continue
        if "check" in word:
            outcome[word["check"]] = word["error"]
        elif "ask" in word:
            verb, *more = word["ask"]
            try:
                answer = getattr(server, verb)(*more)
            except Exception as error:  # the suite reports it with its check
                answer = {"error": repr(error)}
            child.stdin.write(json.dumps(answer) + "\n")
            child.stdin.flush()
    return outcome


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("environment", [".venv-mlflow3", ".venv-mlflow2"])
def test_an_unmodified_client_does_all_it_must(
    environment, author, live_server, monkeypatch, tmp_path
):
    python = ROOT / environment / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no MLflow client in {environment}; `make mlflow-clients` installs them")
    server = Server(author)
    monkeypatch.setattr("registry.tasks.publish_version", server.look_at)
    home = tmp_path / "client"
    home.mkdir()
    unset = ("MLFLOW_", "PYTHON")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(unset)}
    command = [python, SUITE, live_server.url, token(author), home]

    with (
        (tmp_path / "stderr").open("w") as spoken,
        subprocess.Popen(
            command, text=True, cwd=home, env=kept, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=spoken,
        ) as child,
    ):  # fmt: skip
        outcome = converse(child, server)

    errors = {check: error for check, error in outcome.items() if error}
    assert not errors, "\n\n".join(f"{check}: {error}" for check, error in errors.items())
    assert len(outcome) == N_CHECKS, (tmp_path / "stderr").read_text()[-3000:]
    assert RegisteredModel.objects.filter(name="fx").exists()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_set_up_of_the_documentation_works(author, live_server, admitted, tmp_path):
    python = ROOT / ".venv-mlflow3" / "bin" / "python"
    if not python.exists():
        pytest.skip("no MLflow client in .venv-mlflow3; `make mlflow-clients` installs it")
    code = (ROOT / "docs" / "mlflow.md").read_text().split("```python\n")[1].split("```")[0]

    answer = subprocess.run(
        [python, "-c", code.replace("https://registry.example", live_server.url)], cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=SECONDS,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "true",
             "MLFLOW_TRACKING_TOKEN": token(author)},
    )  # fmt: skip

    assert answer.stdout.strip().endswith("[2.]"), answer.stderr[-2000:]
