"""What waits for somebody is judged by as many queries however much it is."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crowetrade_site.core import roles
from crowetrade_site.core.errors import NotFound
from crowetrade_site.core.roles import Role
from registry import selectors, services
from registry.lifecycle import Stage
from registry.models import RegisteredModel
from registry.selectors import dossiers
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import measure, model_version, promotion, registered_model

pytestmark = pytest.mark.django_db


@pytest.fixture
def author():
    return account(Role.RESEARCHER)


def n_queries(user):
    roles.roles_of(user)  # kept for the length of a request
    with CaptureQueriesContext(
        connection,
    ) as caught:
        list(selectors.waiting_for(user, at=AT))
    return len(caught)


def ask(author, n, stage=Stage.TESTING):
    return [promotion(model_version(author, stage=stage), author) for _ in range(n)]


class TestWaitingFor:
    def test_takes_as_many_queries_for_fifty_as_for_five(self, author, monkeypatch):
        monkeypatch.setattr(dossiers, "MOST_EARLIER", 1)
        validator, second = account(Role.VALIDATOR), account(Role.VALIDATOR)
        services.assign_policy(
            model_name=ask(author, 1)[0].version.registered_model.name, policy="default",
            actor=account(Role.ADMIN), at=AT, reason="It fits.",
        )  # fmt: skip
        measured = ask(author, 4)
        for request in ask(author, 1, Stage.STAGING):
            services.approve_promotion(request_id=request.public_id, actor=second, at=AT)
        for k in range(3):
            measure(measured[0].version, "backtest", {"n_bars": 900 + k}, source=f"again-{k}")
        few = n_queries(validator)

        made = ask(author, 44)

        assert set(made[-3:]) < set(selectors.waiting_for(validator, at=AT))
        many = n_queries(validator)
        assert many == few
        assert many <= 14

    def test_judges_the_others_where_the_policy_of_one_is_gone(self, author):
        validator = account(Role.VALIDATOR)
        lost, found = ask(author, 2)
        RegisteredModel.objects.filter(versions=lost.version).update(policy="gone")

        assert selectors.waiting_for(validator, at=AT).get() == found
        with pytest.raises(NotFound, match="no promotion policy 'gone'"):
            selectors.judge(selectors.get_version(lost.version.public_id), Stage.STAGING, at=AT)


class TestStandingsOf:
    def test_are_those_of_each_by_itself(self, author):
        services.store_policy(
            name="light", actor=account(Role.ADMIN, "ada"), at=AT, reason="A pilot.",
            text="staging: {approvals: {number: 1, roles: [admin]}}\n"
            "production: {approvals: {number: 2}}\n",
        )  # fmt: skip
        model = registered_model(author)
        services.assign_policy(
            model_name=model.name, policy="light", actor=account(Role.VALIDATOR), at=AT,
            reason="A pilot.",
        )  # fmt: skip
        light = promotion(model_version(author, model=model, stage=Stage.TESTING), author)
        ended = promotion(model_version(author, stage=Stage.TESTING), author)
        services.withdraw_promotion(request_id=ended.public_id, actor=author, at=AT)
        account(Role.ADMIN)
        approved, waiting = ask(author, 2, Stage.STAGING)
        services.approve_promotion(
            request_id=approved.public_id, actor=account(Role.VALIDATOR), at=AT
        )
        rows = [selectors.get_request(one.public_id) for one in (light, ended, approved, waiting)]

        together = selectors.standings_of(rows, at=AT)

        assert together == [selectors.standing_of(row, at=AT) for row in rows]
        assert [len(one.may_approve) for one in together] == [1, 0, 5, 6]
