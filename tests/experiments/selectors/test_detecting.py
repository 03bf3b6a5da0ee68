"""When the first interval comes: a day to come, or one that is over while nobody looked."""

from datetime import UTC, datetime, timedelta

import pytest

from experiments import selectors
from tests.factories.accounts import account
from tests.factories.experiments import AT, draft, running

pytestmark = pytest.mark.django_db(transaction=True)
FIRST = 40  # periods that the first interval takes
DAY = datetime(AT.year, AT.month, AT.day, tzinfo=UTC)


@pytest.fixture
def owner():
    return account()


def said(experiment, findings, now):
    plan = selectors.plan_of(experiment)
    return selectors.when_first_interval(experiment, plan, findings, now=now)


def seen(n):
    watermark = DAY + timedelta(days=n)
    return {"n_periods": n, "watermark": int(watermark.timestamp()) * 10**9}


class TestWhenFirstInterval:
    def test_names_a_day_that_is_to_come(self, owner):
        told = said(running(owner), seen(8), AT + timedelta(days=9))

        assert (
            told == f"It comes at {DAY + timedelta(days=FIRST):%Y-%m-%d} 00:00 UTC at the earliest."
        )

    @pytest.mark.parametrize(
        ("findings", "why"),
        [
            ({}, "nothing was analyzed yet."),
            (
                seen(8),
                f"what was analyzed last ends at {DAY + timedelta(days=8):%Y-%m-%d} 00:00 UTC.",
            ),
            (
                {"n_periods": 0, "watermark": None},
                "too few periods were compared when it was last analyzed.",
            ),
        ],
    )
    def test_says_of_a_day_that_is_over_that_nobody_looked(self, owner, findings, why):
        """No worker ran for a month, and the page said that the interval comes last week."""
        told = said(running(owner), findings, AT + timedelta(days=70))

        day = DAY + timedelta(days=FIRST)
        assert told == f"It could have come at {day:%Y-%m-%d} 00:00 UTC, but {why}"

    def test_is_over_at_the_very_moment(self, owner):
        made, day = running(owner), DAY + timedelta(days=FIRST)

        assert said(made, seen(8), day).startswith("It could have come")
        assert said(made, seen(8), day - timedelta(seconds=1)).startswith("It comes")

    def test_says_nothing_of_a_draft_and_after_the_first(self, owner):
        assert said(draft(owner), {}, AT) == ""
        assert said(running(owner), seen(FIRST), AT) == ""
