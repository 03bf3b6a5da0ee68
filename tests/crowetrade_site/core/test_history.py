"""Entries of the trail as a person reads them."""

import pytest
from django.db import transaction

from crowetrade_site.core import audit, history
from crowetrade_site.core.models import ApiToken, AuditEvent
from tests.crowetrade_site.core.trail import NOON, note

pytestmark = pytest.mark.django_db


class TestHappeningOf:
    @pytest.mark.parametrize(
        ("verb", "what"),
        [
            ("backtests.run.queued", "run queued"),
            ("backtests.run.handed_in", "evidence handed in to the registry"),
            ("experiments.experiment.handed_in", "evidence handed in to the registry"),
            ("experiments.experiment.evidence_refused", "evidence refused by the registry"),
        ],
    )
    def test_says_what_happened(self, verb, what):
        (event,) = note(verb=verb)

        assert history.happening_of(event, "it").what == what

    def test_tells_a_field_in_the_words_that_are_given(self):
        with transaction.atomic():
            audit.record(
                "core.test.noted", ApiToken(), actor=None, at=NOON,
                before={"pieces": [], "is_held": True},
                after={"pieces": [{"kind": "pbo", "digest": "a" * 64}, {"kind": "backtest"}],
                       "is_held": False},
            )  # fmt: skip
        event = AuditEvent.objects.latest("pk")

        told = history.happening_of(event, "it", {"pieces": history.kinds_of}).changes

        assert set(told) == {("pieces", "", "pbo, backtest"), ("is held", "yes", "no")}
