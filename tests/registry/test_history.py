"""What happened to versions, as a person reads it."""

import pytest
from django.utils import timezone

from registry import selectors, services
from registry.lifecycle import Stage
from registry.selectors.history import gates_in_words
from tests.factories.accounts import account
from tests.factories.registry import bring_evidence, model_version

pytestmark = pytest.mark.django_db(transaction=True)


class TestGatesInWords:
    def test_names_what_was_met_and_says_why_the_rest_was_not(self):
        report = {
            "stage": "testing", "is_met": False, "approvals_needed": 0,
            "gates": [
                {"name": "integrity", "outcome": "met", "reason": "", "evidence": []},
                {"name": "pbo", "outcome": "not met", "reason": "no evidence", "evidence": []},
                {"name": "causality", "outcome": "told", "reason": "nobody asks", "evidence": []},
            ],
        }  # fmt: skip

        assert gates_in_words(report) == "1 of 2 gates met (integrity); pbo: no evidence"


class TestHistoryOf:
    def test_tells_by_which_gates_a_version_was_submitted(self):
        author = account()
        version = model_version(author)
        bring_evidence(version)
        services.move_version(
            version_id=version.public_id, target=Stage.TESTING, actor=author, at=timezone.now(),
            reason="fit",
        )  # fmt: skip

        newest = selectors.history_of(version.registered_model, version)[0]

        (gates,) = (became for field, _, became in newest.changes if field == "report")
        assert " gates met (artifact_scan, " in gates
        assert "is_met" not in gates
