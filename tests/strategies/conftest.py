"""Fixtures of the shell's tests."""

import pytest


@pytest.fixture
def owner(db):
    """A researcher."""
    from tests.factories.accounts import account

    return account("researcher")
