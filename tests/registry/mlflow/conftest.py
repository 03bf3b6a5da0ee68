"""Clients of MLflow by role, and a worker that looks at files at once."""

import pytest

from registry import jobs
from registry.artifacts import sandbox
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
    """Look at every version as soon as it is registered, with the job of the workers."""
    if not sandbox.is_available().is_available:
        pytest.skip(sandbox.is_available().reason)

    def look_at(version_id):
        jobs.admit_version(version_id=version_id)

    monkeypatch.setattr("registry.tasks.publish_version", look_at)
