import pytest
from django.contrib.auth.models import AnonymousUser, Group

from crowetrade_site.core import roles
from crowetrade_site.core.errors import Forbidden
from crowetrade_site.core.roles import Role

SCOPES = """
    scope              researcher validator operator auditor admin
    models:read            x          x        x       x       x
    evidence:read          x          x        x       x       x
    experiments:read       x          x        x       x       x
    datasets:read          x          x        x       x       x
    runs:read              x          x        x       x       x
    strategies:read        x          x        x       x       x
    tokens:write           x          x        x       x       x
    audit:read             -          x        x       x       x
    datasets:write         x          -        -       -       x
    models:write           x          -        -       -       x
    strategies:write       x          -        -       -       x
    runs:write             x          x        x       -       x
    runs:operate           -          -        x       -       x
    experiments:feed       x          -        x       -       x
    experiments:write      x          -        x       -       x
    evidence:write         -          x        -       -       x
    models:approve         -          x        -       -       x
    models:operate         -          -        x       -       x
    users:write            -          -        -       -       x
"""
HEADER, *ROWS = [line.split() for line in SCOPES.strip().splitlines()]
MATRIX = [
    pytest.param(Role(role), scope, mark == "x", id=f"{role}-{scope}")
    for scope, *marks in ROWS
    for role, mark in zip(HEADER[1:], marks, strict=True)
]


class TestGrants:
    @pytest.mark.parametrize(("role", "scope", "is_granted"), MATRIX)
    def test_are_exactly_those_of_the_matrix(self, role, scope, is_granted):
        assert (scope in roles.GRANTS[role]) is is_granted

    def test_know_no_other_scope_and_no_other_role(self):
        assert {scope for scope, *_ in ROWS} == roles.SCOPES
        assert set(HEADER[1:]) == {role.value for role in Role}

    def test_add_up(self, make_user):
        user = make_user("auditor", "researcher")

        assert roles.grants(user) == roles.GRANTS[Role.AUDITOR] | roles.GRANTS[Role.RESEARCHER]

    def test_are_all_for_a_superuser(self, make_user):
        assert roles.grants(make_user()) == roles.SCOPES

    def test_are_none_for_strangers(self, make_user):
        retired = make_user("admin")
        retired.is_active = False

        assert roles.grants(AnonymousUser()) == frozenset()
        assert roles.grants(retired) == frozenset()

    def test_are_none_for_an_unknown_group(self, db, make_user):
        user = make_user("researcher")
        user.groups.set([Group.objects.create(name="administrator")])

        assert roles.grants(user) == frozenset()

    def test_cost_one_query(self, make_user, django_assert_num_queries):
        user = make_user("auditor")

        with django_assert_num_queries(1):
            roles.grants(user)
            roles.require(user, "audit:read")

    def test_are_confined_by_a_token(self, make_user):
        user = make_user("auditor")
        roles.confine(user, ["audit:read", "users:write"])

        assert roles.grants(user) == {"audit:read"}


class TestRequire:
    def test_names_the_scope_and_who_has_it(self, make_user):
        with pytest.raises(Forbidden, match=r"models:approve, .*: validator, admin") as refusal:
            roles.require(make_user("researcher"), "models:approve")

        assert refusal.value.extensions == {"scope": "models:approve"}

    def test_is_content_with_one_of_several(self, make_user):
        roles.require(make_user("operator"), "models:write", "models:operate")

        with pytest.raises(Forbidden, match=r"models:write or models:operate, which these roles"):
            roles.require(make_user("auditor"), "models:write", "models:operate")

    def test_says_when_it_is_the_token_that_lacks_it(self, make_user):
        user = make_user("auditor")
        roles.confine(user, ["runs:read"])

        with pytest.raises(Forbidden, match="This token lacks the scope audit:read"):
            roles.require(user, "audit:read")


class TestForget:
    def test_lets_the_next_question_see_a_new_role(self, make_user):
        user = make_user("researcher")
        assert roles.roles_of(user) == {Role.RESEARCHER}
        user.groups.add(Group.objects.get(name=Role.AUDITOR))

        roles.forget(user)

        assert roles.roles_of(user) == {Role.RESEARCHER, Role.AUDITOR}


class TestGroups:
    def test_exist_for_every_role(self, db):
        assert {role.value for role in Role} <= set(Group.objects.values_list("name", flat=True))
