"""People of every role."""

import pytest

from crowetrade_site.core.roles import Role
from tests.factories.accounts import account


@pytest.fixture
def author(db):
    """A researcher who registers."""
    return account(Role.RESEARCHER, "author")


@pytest.fixture
def validator(db):
    """Somebody who judges."""
    return account(Role.VALIDATOR, "vera")


@pytest.fixture
def operator(db):
    """Somebody who carries out."""
    return account(Role.OPERATOR, "otto")
