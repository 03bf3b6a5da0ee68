"""What was in production when: off the trail, whatever the rows say by now."""

import json
from datetime import UTC, timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from registry import selectors, services
from registry.lifecycle import Stage
from tests.factories import clients
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import model_version, promotion, registered_model

pytestmark = pytest.mark.django_db(transaction=True)


def on(day):
    return AT + timedelta(days=day)


@pytest.fixture
def operator():
    return account("operator", "otto")


@pytest.fixture
def model(operator):
    """One promoted, one that superseded it, a rollback, and a revocation."""
    author = account("researcher", "author")
    model = registered_model(author, "fx")
    for day in (1, 2):
        version = model_version(author, model=model, stage=Stage.STAGING)
        request = promotion(version, operator, at=on(day))
        for _ in range(2):
            services.approve_promotion(
                request_id=request.public_id, actor=account("validator"), at=on(day)
            )
        services.execute_promotion(request_id=request.public_id, actor=operator, at=on(day))
    services.roll_back(model_name="fx", actor=operator, at=on(3), reason="slippage")
    first = selectors.get_version_of("fx", 1)
    services.move_version(
        version_id=first.public_id, target=Stage.ARCHIVED, actor=operator, at=on(4),
        reason="runaway",
    )  # fmt: skip
    services.move_version(
        version_id=first.public_id, target=Stage.DEVELOPMENT, actor=author, at=on(5), reason="mend"
    )
    return model


class TestStays:
    def test_has_every_stay_with_who_and_why(self, model):
        stays = selectors.list_stays(model)

        assert [(one.version, one.since, one.begun, one.until, one.ended) for one in stays] == [
            (1, on(3), "restored", on(4), "revoked"),
            (2, on(2), "promoted", on(3), "rolled_back"),
            (1, on(1), "promoted", on(2), "superseded"),
        ]
        assert {(one.begun_by, one.ended_by) for one in stays} == {("otto", "otto")}
        assert [one.ended_because for one in stays] == ["runaway", "slippage", "It holds."]
        assert stays[2].digest == selectors.get_version_of("fx", 1).digest
        assert [bool(one.request) for one in stays] == [False, True, True]

    @pytest.mark.parametrize(
        ("day", "versions"), [(0.5, []), (1, [1]), (1.5, [1]), (2, [2]), (3.5, [1]), (4, [])]
    )
    def test_knows_what_was_there_at_a_moment(self, model, day, versions):
        found = selectors.list_stays(model, at=on(day))

        assert [one.version for one in found] == versions

    def test_has_one_without_an_end(self, operator):
        version = model_version(account("researcher"), stage=Stage.STAGING)
        request = promotion(version, operator)
        for _ in range(2):
            services.approve_promotion(
                request_id=request.public_id, actor=account("validator"), at=AT
            )
        services.execute_promotion(request_id=request.public_id, actor=operator, at=AT)

        (stay,) = selectors.list_stays(version.registered_model, at=on(100))

        assert (stay.until, stay.ended, stay.begun_because) == (None, "", "It holds.")

    def test_takes_two_questions(self, model):
        with CaptureQueriesContext(connection) as asked:
            selectors.list_stays(model)

        assert len(asked) == 2


class TestDoors:
    def test_rest_answers_for_a_moment(self, model):
        auditor = clients.client(account("auditor"))
        address = f"/api/v1/models/{model.public_id}/production/"

        everything = auditor.get(address).json()
        then = auditor.get(address, {"at": on(2.5).isoformat()}).json()

        assert [one["version"] for one in everything] == [1, 2, 1]
        assert [(one["version"], one["begun_by"], one["ended"]) for one in then] == [
            (2, "otto", "rolled_back")
        ]
        assert auditor.get(address, {"at": "yesterday"}).status_code == 422

    def test_the_page_of_a_model_shows_them(self, model, client):
        client.force_login(account("auditor"))

        page = client.get(f"/admin/registry/registeredmodel/{model.pk}/change/").content.decode()

        assert "In production" in page
        assert "runaway" in page
        assert "rolled back by otto" in page

    def test_the_command_exports_them(self, model, capsys):
        call_command("list_production", "--json")
        stays = json.loads(capsys.readouterr().out)["stays"]
        call_command("list_production", "--model", "fx", "--at", on(2.5).isoformat())

        assert [one["version"] for one in stays] == [1, 2, 1]
        told = capsys.readouterr().out
        assert told.startswith("fx/2 ")
        assert "(promoted by otto)" in told
        assert on(3).astimezone(UTC).strftime("%Y-%m-%d %H:%M") in told
