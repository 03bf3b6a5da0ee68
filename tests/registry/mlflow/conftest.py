"""Clients of MLflow by role, and a worker that looks at files at once."""

import pytest

from registry.lifecycle import VersionStatus
from registry.models import ModelVersion
from tests.factories.accounts import account
from tests.factories.mlflow import Wire


@pytest.fixture
def author(db):
    return account("researcher", name="author")


@pytest.fixture
def wire(author):
    """The client of a researcher."""
    return Wire(author)


@pytest.fixture
def wire_of(db):
    """Clients of other people, by role."""
    return lambda role: Wire(account(role))


@pytest.fixture
def admitted(monkeypatch):
    """Admit every version as soon as it is registered, as a worker would."""

    def admit(version_id):
        pending = ModelVersion.objects.filter(public_id=version_id)
        pending.update(status=VersionStatus.READY)

    monkeypatch.setattr("registry.tasks.publish_version", admit)
