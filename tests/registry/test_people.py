"""Whom model cards name: who is no user is said on pages and by the doctor."""

import pytest

from crowetrade_site.core.doctor import State
from registry import selectors
from registry.selectors.people import operators_of_models
from tests.factories.accounts import account
from tests.factories.registry import registered_model
from tests.registry.admin.browser import login, shown

pytestmark = pytest.mark.django_db


def closed(user):
    user.is_active = False
    user.save()
    return user


class TestCardWarnings:
    def test_are_none_where_all_are_users(self):
        model = registered_model(account(), operators=[account("operator").username])

        assert selectors.card_warnings(model) == []

    def test_name_the_first_of_many(self):
        model = registered_model(account(), operators=[f"desk-{at:02}" for at in range(12)])

        (said,) = selectors.card_warnings(model)

        assert "no users here: desk-00, desk-01" in said
        assert "desk-09 and 2 more. Write their user names" in said

    def test_name_an_owner_whose_account_is_closed(self):
        owner = account()
        model = registered_model(owner, operators=[])
        closed(owner)

        (said,) = selectors.card_warnings(selectors.get_model(model.name))

        assert said.startswith(f"The account of the owner {owner.username} is closed")

    def test_cost_one_query(self, django_assert_num_queries):
        model = selectors.get_model(registered_model(account(), operators=["a", "b"]).name)

        with django_assert_num_queries(1):
            selectors.card_warnings(model)

    def test_stand_on_the_page_of_the_model(self):
        owner = account()
        model = registered_model(owner, operators=["oto"])

        whole = shown(login(owner), model)

        assert "The card names operators who are no users here: oto." in whole


class TestDoctor:
    def test_is_content_where_all_are_users(self):
        registered_model(account(), operators=[account("operator").username])

        (found,) = operators_of_models()

        assert (found.state, found.detail) == (State.OK, "all are users")

    def test_warns_of_a_model_whose_operator_is_no_user_any_more(self):
        gone = closed(account("operator", "gone")).username
        registered_model(account(), "alpha", operators=["oto", gone, account("operator").username])
        registered_model(account(), "beta", operators=["oto"])

        (found,) = operators_of_models()

        assert found.state == State.WARNING
        assert found.detail == "alpha: gone, oto; beta: oto"
        assert "model cards" in found.cure
