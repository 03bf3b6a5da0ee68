"""The sidebar's search: what it finds, for whom, and what it costs."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from crowetrade_site import dashboard
from crowetrade_site.core.roles import Role
from tests.factories.accounts import account
from tests.factories.backtests import bars_dataset, queued
from tests.factories.registry import model_version, registered_model

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = "/admin/search/"


@pytest.fixture
def version():
    owner = account(Role.RESEARCHER)
    return model_version(owner, model=registered_model(owner, "fx-carry"))


def answered(person, term):
    browser = Client()
    browser.force_login(person)
    return browser.get(ADDRESS, {"s": term, "extended": "1"}).content.decode()


class TestSearch:
    def test_finds_what_was_made_since_somebody_looked(self, version):
        person = account(Role.RESEARCHER)
        assert "fx-carry-2" not in answered(person, "fx-carry")

        registered_model(person, "fx-carry-2")

        assert "fx-carry-2" in answered(person, "fx-carry")

    def test_shows_nothing_to_whom_it_was_taken_from(self, version):
        person = account(Role.AUDITOR)
        assert "fx-carry" in answered(person, "fx-carry")

        person.groups.clear()

        assert "registeredmodel" not in answered(person, "fx-carry")

    @pytest.mark.parametrize("role", Role)
    def test_finds_a_model_by_a_part_of_its_name(self, version, role):
        page = f"/admin/registry/registeredmodel/{version.registered_model_id}/change/"

        assert page in answered(account(role), "X-Carr")

    @pytest.mark.parametrize("term", ["fx-carry/1", "FX-carry v1", "carry 1"])
    def test_finds_a_version_by_its_number(self, version, term):
        page = f"/admin/registry/modelversion/{version.pk}/change/"

        assert page in answered(account(Role.AUDITOR), term)

    @pytest.mark.parametrize("term", ["fx-carry/2", "zzz", "a\0b", "'%", "1234"])
    def test_finds_nothing_of_another_name(self, version, term):
        assert "/admin/registry/modelversion/" not in answered(account(Role.AUDITOR), term)

    def test_finds_a_run_by_the_beginning_of_its_id(self, tmp_path):
        author = account(Role.RESEARCHER)
        bars_dataset(tmp_path, author, n_days=40)
        run = queued(author)

        assert f"/admin/backtests/run/{run.pk}/change/" in answered(author, str(run.public_id)[:8])

    def test_finds_nothing_for_whoever_may_read_nothing(self, version):
        assert "/admin/registry/" not in answered(account(""), "fx-carry")

    def test_asks_one_question_of_a_kind(self, version, rf):
        owner = version.created_by
        for number in range(12):
            registered_model(owner, f"fx-carry-{number}")
        request = rf.get(ADDRESS)
        request.user = owner
        dashboard.search(request, "warm")

        with CaptureQueriesContext(connection) as queries:
            found = dashboard.search(request, "fx-carry")

        assert len(found) == dashboard.MOST_FOUND
        assert len(queries) <= 4
