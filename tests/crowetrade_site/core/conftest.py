"""Places of its own for every test of the ground floor, whichever way it asks for a database."""

import pytest


@pytest.fixture(autouse=True)
def _own_places(settings, tmp_path):
    settings.HOME_DIR = tmp_path
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATIC_ROOT.mkdir()
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.ARTIFACT_CACHE = tmp_path / "cache"
    settings.ARTIFACT_S3_BUCKET = ""
    settings.AUDIT_SIGNING_KEY = tmp_path / "audit" / "signing_key.pem"
    settings.AUDIT_CHECKPOINTS = tmp_path / "audit"
    settings.STORAGES = settings.STORAGES | {
        "artifacts": {
            "BACKEND": "crowetrade_site.core.storage.WriteOnceFileSystemStorage",
            "OPTIONS": {"location": tmp_path / "artifacts"},
        }
    }
