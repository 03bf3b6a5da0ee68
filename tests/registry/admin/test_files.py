"""The files of a version in the admin: who may have them, and what is shown as text."""

from pathlib import Path

import pytest

from crowetrade_site.core import storage
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion
from tests.factories.accounts import account
from tests.factories.registry import model_version, promotion
from tests.registry.admin.browser import address, login, said, shown

pytestmark = pytest.mark.django_db(transaction=True)
CONTENT = b'{"lookback_days": 77, "<note>": 1}'


def fetched(browser, version, path="parameters.json"):
    return browser.get(address(version, "file"), {"path": path})


@pytest.fixture
def version(author):
    return model_version(author, content=CONTENT, stage=Stage.TESTING)


class TestDownload:
    @pytest.mark.parametrize("role", Role)
    def test_gives_the_bytes_to_every_role_that_reads(self, version, role):
        answer = fetched(login(account(role)), version)

        assert b"".join(answer.streaming_content) == CONTENT
        assert answer["Content-Disposition"] == 'attachment; filename="parameters.json"'
        assert answer["Content-Type"] == "application/octet-stream"

    def test_gives_nothing_without_a_role(self, version):
        assert fetched(login(account("")), version).status_code in {302, 403}

    def test_says_why_quarantined_bytes_stay(self, version, author):
        ModelVersion.objects.update(status=VersionStatus.QUARANTINED)

        answer = fetched(login(author), version)

        assert answer["Location"] == address(version)
        assert "in quarantine" in said(answer)[0]

    @pytest.mark.parametrize("status", ["pending", "quarantined", "refused"])
    def test_lets_judges_look_at_what_nobody_is_served(self, version, author, validator, status):
        """Under a name that nothing opens, with a warning, and on record."""
        ModelVersion.objects.update(status=status)
        judge, wanted = login(validator), {"path": "parameters.json", "inspect": "1"}

        html = shown(judge, version)
        answer = judge.get(address(version, "file"), wanted)

        assert "?inspect=1&amp;path=parameters.json" in html
        assert "Nobody vouches for them" in html
        assert b"".join(answer.streaming_content) == CONTENT
        assert answer["Content-Disposition"] == 'attachment; filename="parameters.json.untrusted"'
        event = AuditEvent.objects.latest("id")
        assert (event.verb, event.actor) == ("registry.version.inspected", validator.username)
        assert "inspect=1" not in shown(login(author), version)
        refusal = login(author).get(address(version, "file"), wanted)
        assert "Validators and admins look" in said(refusal)[0]

    def test_says_that_there_is_no_such_file(self, version, author):
        assert "has no file 'other.json'" in said(fetched(login(author), version, "other.json"))[0]

    def test_marks_a_version_of_other_bytes(self, version, author):
        stored = storage.locate(version.manifest["files"][0]["sha256"])
        Path(stored).chmod(0o600)
        Path(stored).write_bytes(b"forged")

        said(fetched(login(author), version))

        version.refresh_from_db()
        assert version.compromised_at is not None
        assert AuditEvent.objects.latest("id").verb == "registry.version.compromised"


class TestPages:
    def test_show_a_short_document_and_lead_to_the_file(self, version, author, validator):
        request = promotion(version, author, validator=validator)

        for row in (version, request):
            html = shown(login(validator), row)
            assert f"{address(version, 'file')}?path=parameters.json" in html
            assert "&quot;lookback_days&quot;: 77" in html
            assert "&lt;note&gt;" in html

    def test_lead_to_no_file_that_may_not_leave(self, version, author):
        ModelVersion.objects.update(stage=Stage.ARCHIVED)

        html = shown(login(author), version)

        assert address(version, "file") not in html
        assert "validators, auditors and admins may have its files" in html

    def test_show_no_long_document(self, author):
        content = b'{"values": "' + b"x" * 9000 + b'"}'

        html = shown(login(author), model_version(author, content=content))

        assert "xxxx" not in html
        assert "parameters.json" in html
