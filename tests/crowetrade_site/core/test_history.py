"""Entries of the trail as a person reads them."""

import pytest

from crowetrade_site.core import history
from tests.crowetrade_site.core.trail import note

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
