"""The doctor names words of production that stand for what nobody promoted."""

import pytest

from crowetrade_site.core import doctor
from crowetrade_site.core.roles import Role
from registry import services
from registry.lifecycle import Stage
from registry.selectors import aliases
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import model_version, registered_model

pytestmark = pytest.mark.django_db


@pytest.fixture
def author(db):
    return account(Role.RESEARCHER)


def aliased(author, name, word, stage):
    version = model_version(author, model=registered_model(author, name), stage=stage)
    actor = account(Role.ADMIN) if services.means_production(word) else author
    services.set_alias(name=name, alias=word, number=version.number, actor=actor, at=AT)
    return version


def said():
    (found,) = [one for one in doctor.examine() if one.name == "aliases of production"]
    return found


class TestAliasesOfProduction:
    def test_are_well_where_all_were_promoted(self, author):
        aliased(author, "fx", "champion", Stage.PRODUCTION)
        aliased(author, "rates", "live", Stage.TESTING)

        assert said().state is doctor.State.OK

    def test_are_warned_of_once_a_word_comes_to_mean_production(self, author, settings):
        aliased(author, "fx", "Live", Stage.TESTING)
        aliased(author, "rates", "live", Stage.PRODUCTION)
        settings.PRODUCTION_ALIASES = frozenset({"live"})

        found = said()

        assert found.state is doctor.State.WARNING
        assert found.detail == "fx@Live is v1 in testing"
        assert "bots that load by it get what nobody promoted" in found.cure

    def test_are_named_up_to_some_and_counted(self, author, settings, monkeypatch):
        monkeypatch.setattr(aliases, "MOST_NAMED", 1)
        for name in ("a", "b", "c"):
            aliased(author, name, "live", Stage.STAGING)
        settings.PRODUCTION_ALIASES = frozenset({"live"})

        assert said().detail == "a@live is v1 in staging; and 2 more"
