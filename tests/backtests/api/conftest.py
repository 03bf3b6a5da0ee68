"""A client that may do what researchers do."""

import pytest


@pytest.fixture
def api(owner):
    """A researcher's client."""
    from tests.factories.clients import client

    return client(owner)
