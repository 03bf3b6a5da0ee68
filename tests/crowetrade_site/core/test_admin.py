"""The admin's pages: who sees them, what they cost, and what their actions do."""

from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse

from crowetrade_site.core import roles, services
from crowetrade_site.core.admin import ReadOnlyAdmin, _page_about
from crowetrade_site.core.models import ApiToken, AuditEvent, AuditSeal
from tests.crowetrade_site.core.trail import NOON, note, sealed
from tests.factories.accounts import account
from tests.factories.registry import model_version

pytestmark = pytest.mark.django_db
PAGES = {
    "core_auditevent": "audit:read",
    "core_auditseal": "audit:read",
    "core_apitoken": "users:write",
    "auth_user": "users:write",
}
# Every list that may be empty: a policy is there from the first migration on, and a login audited.
EMPTY = [
    model
    for model, page in admin.site._registry.items()
    if isinstance(page, ReadOnlyAdmin)
    and page.search_fields
    and model._meta.label not in {"core.AuditEvent", "registry.PromotionPolicy"}
]
ALL_ROLES = [role.value for role in roles.Role]


def list_of(page: str) -> str:
    return reverse(f"admin:{page}_changelist")


def row_of(page: str, pk: object) -> str:
    return reverse(f"admin:{page}_change", args=[pk])


def pressed(reason: str) -> dict[str, str]:
    """Return what a dialog sends when its button is pressed."""
    return {"_form_submitted": "on", "reason": reason}


def rows(count: int) -> None:
    """Fill every list with some rows more."""
    sealed(1, n_seals=count)
    for _ in range(count):
        number = User.objects.count()
        user = User.objects.create_user(f"user-{number}")
        user.groups.set(User.objects.get(username="admin").groups.all())
        services.issue_token(user=user, name="x", scopes=["runs:read"], actor=user, at=NOON)


@pytest.fixture
def as_role(client, make_user):
    """Log in as somebody with a role."""

    def login(role: str):
        client.force_login(make_user(role))
        return client

    return login


class TestPages:
    @pytest.mark.parametrize("role", ALL_ROLES)
    @pytest.mark.parametrize("page", PAGES)
    def test_are_shown_to_whom_the_roles_allow(self, as_role, page, role):
        client = as_role(role)
        sealed()
        services.issue_token(
            user=services.console_user(), name="x", scopes=["runs:read"],
            actor=services.console_user(), at=NOON,
        )  # fmt: skip
        table = {
            "core_auditevent": AuditEvent,
            "core_auditseal": AuditSeal,
            "core_apitoken": ApiToken,
            "auth_user": User,
        }[page]
        may = PAGES[page] in roles.GRANTS[roles.Role(role)]
        expected = 200 if may else 403

        assert client.get(list_of(page)).status_code == expected
        assert client.get(row_of(page, table.objects.first().pk)).status_code == expected
        index = client.get(reverse("admin:index")).content.decode()
        assert (list_of(page) in index) is may

    @pytest.mark.parametrize("page", PAGES)
    def test_send_strangers_to_the_login(self, client, page):
        response = client.get(list_of(page))

        assert response.status_code == 302
        assert response["Location"].startswith(reverse("admin:login"))

    @pytest.mark.parametrize("page", PAGES)
    def test_are_not_for_users_outside_the_staff(self, client, make_user, page):
        user = make_user("admin")
        user.is_staff = False
        user.save()
        client.force_login(user)

        assert client.get(list_of(page)).status_code == 302

    @pytest.mark.parametrize("page", PAGES)
    def test_cost_as_many_queries_for_thirty_rows_as_for_one(
        self, as_role, page, django_assert_max_num_queries
    ):
        client = as_role("admin")
        rows(1)
        client.get(list_of(page))
        with django_assert_max_num_queries(16) as few:
            client.get(list_of(page))
        rows(29)

        with django_assert_max_num_queries(len(few)):
            assert client.get(list_of(page)).status_code == 200

    @pytest.mark.parametrize("page", ["core_auditevent", "core_auditseal", "core_apitoken"])
    @pytest.mark.parametrize("verb", ["add", "delete"])
    def test_let_nobody_add_or_delete(self, as_role, page, verb):
        client = as_role("admin")
        arguments = [] if verb == "add" else [1]

        assert client.post(reverse(f"admin:{page}_{verb}", args=arguments)).status_code == 403

    def test_show_the_text_that_is_hashed(self, as_role):
        (event,) = note()
        page = as_role("auditor").get(row_of("core_auditevent", event.pk)).content.decode()

        assert bytes(event.leaf).hex() in page
        assert "&quot;verb&quot;:&quot;core.test.noted&quot;" in page

    def test_show_the_text_with_lines_beside(self, as_role):
        (event,) = note()
        page = as_role("auditor").get(row_of("core_auditevent", event.pk)).content.decode()

        assert "\n  &quot;verb&quot;: &quot;core.test.noted&quot;" in page

    def test_lead_to_what_an_entry_is_about(self, as_role):
        author = account("researcher")
        version = model_version(author)
        event = AuditEvent.objects.filter(object_id=str(version.public_id)).latest("id")
        target = f"/admin/registry/modelversion/{version.public_id}/change/"
        auditor = as_role("auditor")

        for page in (list_of("core_auditevent"), row_of("core_auditevent", event.pk)):
            assert target in auditor.get(page).content.decode()
        assert auditor.get(target, follow=True).status_code == 200

    def test_link_to_no_page_that_only_admins_have(self, as_role):
        (event,) = note()
        token = AuditEvent(object_type="core.ApiToken", object_id=str(uuid4()))

        assert _page_about(token) == ""
        assert _page_about(event) == ""

    @pytest.mark.parametrize("query", ["", "?q=zzzz"])
    @pytest.mark.parametrize(
        "page", sorted(f"{model._meta.label_lower.replace('.', '_')}" for model in EMPTY)
    )
    def test_say_how_rows_come_into_an_empty_list(self, as_role, page, query):
        answer = as_role("admin").get(list_of(page) + query).content.decode()

        assert "This page yielded" not in answer
        assert ("Nothing matches" in answer) == bool(query)
        assert query or "yet</h2>" in answer

    def test_refuse_a_change_of_an_entry(self, as_role):
        (event,) = note()

        response = as_role("admin").post(
            row_of("core_auditevent", event.pk), {"reason": "rewritten"}
        )

        assert response.status_code == 403
        event.refresh_from_db()
        assert event.reason == ""

    @pytest.mark.parametrize("query", ["user__password__startswith=a", "user__email=x"])
    def test_do_not_search_through_to_other_tables(self, as_role, query):
        assert as_role("admin").get(f"{list_of('core_apitoken')}?{query}").status_code == 400

    def test_say_when_a_row_is_not_there(self, as_role):
        assert as_role("auditor").get(row_of("core_auditevent", 9)).status_code == 302


class TestApiTokenAdmin:
    @pytest.fixture
    def token(self, researcher) -> ApiToken:
        token, _ = services.issue_token(
            user=researcher, name="x", scopes=["runs:read"], actor=researcher, at=NOON
        )
        return token

    def url(self, pk: object) -> str:
        return reverse("admin:core_apitoken_revoke", args=[pk])

    def test_revokes_with_a_reason(self, as_role, token):
        dialog = {"HX-Request": "true"}
        response = as_role("admin").post(self.url(token.pk), pressed("lost"), headers=dialog)

        assert response.status_code == 200
        assert response["HX-Redirect"] == row_of("core_apitoken", token.pk)
        token.refresh_from_db()
        assert token.revoked_at
        event = AuditEvent.objects.last()
        assert (event.verb, event.actor, event.reason) == ("core.token.revoked", "admin", "lost")

    def test_changes_nothing_by_looking(self, as_role, token):
        response = as_role("admin").get(self.url(token.pk))

        assert response.status_code == 200
        assert "Revoke this token" in response.content.decode()
        token.refresh_from_db()
        assert token.revoked_at is None

    def test_changes_nothing_without_a_reason(self, as_role, token):
        as_role("admin").post(self.url(token.pk), pressed(""))

        token.refresh_from_db()
        assert token.revoked_at is None

    @pytest.mark.parametrize("role", [role for role in ALL_ROLES if role != "admin"])
    def test_is_an_admin_s(self, client, make_user, token, role):
        client.force_login(make_user(role, name="other"))

        assert client.post(self.url(token.pk), pressed("x")).status_code == 403
        token.refresh_from_db()
        assert token.revoked_at is None

    @pytest.mark.parametrize("pk", [0, "none"])
    def test_says_when_there_is_none(self, as_role, pk):
        assert as_role("admin").post(self.url(pk), pressed("x")).status_code == 404

    def test_shows_no_digest(self, as_role, token):
        client = as_role("admin")

        for url in (list_of("core_apitoken"), row_of("core_apitoken", token.pk)):
            page = client.get(url).content.decode()
            assert token.digest not in page
            assert token.prefix in page
