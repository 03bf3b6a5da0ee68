"""Token scopes and roles together decide, on every view of the ground floor."""

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from crowetrade_site.core import roles
from crowetrade_site.core.models import ApiToken

pytestmark = pytest.mark.django_db
VIEWS = [("get", "tokens", "tokens:write"), ("get", "audit", "audit:read")]
ALL_ROLES = [role.value for role in roles.Role]


def call(client, method: str, name: str) -> int:
    return getattr(client, method)(reverse(name)).status_code


class TestHasScope:
    @pytest.mark.parametrize("role", ALL_ROLES)
    @pytest.mark.parametrize(("method", "name", "scope"), VIEWS)
    def test_asks_the_roles_of_a_token_s_user(self, as_user, role, method, name, scope):
        expected = 200 if scope in roles.GRANTS[roles.Role(role)] else 403

        assert call(as_user(role), method, name) == expected

    @pytest.mark.parametrize("role", ALL_ROLES)
    @pytest.mark.parametrize(("method", "name", "scope"), VIEWS)
    def test_asks_the_roles_of_a_session_s_user(self, make_user, role, method, name, scope):
        client = Client()
        client.force_login(make_user(role))
        expected = 200 if scope in roles.GRANTS[roles.Role(role)] else 403

        assert call(client, method, name) == expected

    @pytest.mark.parametrize(("method", "name", "scope"), VIEWS)
    def test_asks_the_scopes_of_the_token(self, as_user, method, name, scope):
        client = as_user("admin", scopes=["runs:read"])

        response = getattr(client, method)(reverse(name))

        assert response.status_code == 403
        assert response.json()["detail"] == f"This token lacks the scope {scope}."
        assert response.json()["scope"] == scope

    def test_takes_a_role_away_from_tokens_too(self, as_user):
        client = as_user("auditor")
        client.user.groups.clear()

        assert call(client, "get", "audit") == 403

    def test_refuses_strangers(self):
        assert call(APIClient(), "get", "audit") == 401

    def test_refuses_users_without_role(self, make_user):
        user = make_user("researcher")
        user.groups.clear()
        client = Client()
        client.force_login(user)

        assert call(client, "get", "tokens") == 403

    @pytest.mark.parametrize("method", ["head", "options"])
    def test_treats_head_and_options_as_get(self, as_user, method):
        assert call(as_user("researcher"), method, "audit") == 403
        assert call(as_user("auditor"), method, "audit") == 200

    def test_leaves_a_method_that_is_not_there_to_the_view(self, as_user):
        assert call(as_user("researcher"), "put", "audit") == 405


class TestSession:
    """A browser's cookie alone must not be enough to change anything."""

    @pytest.fixture
    def browser(self, make_user) -> Client:
        client = Client(enforce_csrf_checks=True)
        client.force_login(make_user("admin"))
        return client

    def post(self, browser: Client, **headers: str):
        body = {"name": "stolen", "scopes": ["users:write"]}
        return browser.post(
            reverse("tokens"), body, content_type="application/json", headers=headers
        )

    def test_needs_the_csrf_token(self, browser):
        response = self.post(browser)

        assert response.status_code == 403
        assert "CSRF" in response.json()["detail"]
        assert not ApiToken.objects.exists()

    def test_needs_the_right_csrf_token(self, browser):
        browser.get(reverse("admin:index"))

        assert self.post(browser, X_CSRFToken="x" * 64).status_code == 403

    def test_is_enough_with_the_csrf_token(self, browser):
        browser.get(reverse("admin:index"))
        browser.get(reverse("admin:auth_user_add"))
        token = browser.cookies["csrftoken"].value

        assert self.post(browser, X_CSRFToken=token).status_code == 201

    def test_is_not_asked_of_a_token(self, as_user):
        client = APIClient(enforce_csrf_checks=True)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {as_user().plain}")

        assert call(client, "get", "tokens") == 200

    def test_does_not_help_a_bad_token(self, make_user):
        """A request that says who it is by a bad token is not served as somebody else."""
        client = Client()
        client.force_login(make_user("admin"))

        response = client.get(reverse("tokens"), headers={"Authorization": "Bearer ct_revoked"})

        assert response.status_code == 401

    @pytest.mark.parametrize("keyword", ["Bearer", "bearer", "Token", "Basic"])
    def test_is_not_looked_at_beside_a_good_token(self, as_user, make_user, keyword):
        """Who asks is who the token says; another scheme is no token, and leaves the session."""
        client = Client()
        of_session, of_token = make_user("admin"), as_user("auditor")
        client.force_login(of_session)

        response = client.get(
            reverse("audit"), headers={"Authorization": f"{keyword} {of_token.plain}"}
        )

        assert response.status_code == 200
        expected = of_session if keyword == "Basic" else of_token.user
        assert response.wsgi_request.user == expected

    @pytest.mark.parametrize("mounted_at", ["", "/api"])
    def test_is_there_on_pages_whatever_they_come_with(self, make_user, mounted_at):
        client = Client(SCRIPT_NAME=mounted_at)
        client.force_login(make_user("admin"))

        page = client.get("/admin/", headers={"Authorization": "Bearer ct_revoked"})

        assert page.status_code == 200
