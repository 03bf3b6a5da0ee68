"""People of every role, and their clients."""

import pytest

from tests.factories.accounts import account
from tests.factories.clients import client


@pytest.fixture
def author(db):
    """A researcher who registers."""
    return account("researcher", "author")


@pytest.fixture
def api(author):
    """The author's client."""
    return client(author)


@pytest.fixture
def validator(db):
    """Somebody who judges."""
    return account("validator", "vera")


@pytest.fixture
def judge(validator):
    """The validator's client."""
    return client(validator)


@pytest.fixture
def operator(db):
    """Somebody who carries out."""
    return account("operator", "otto")


@pytest.fixture
def desk(operator):
    """The operator's client."""
    return client(operator)
