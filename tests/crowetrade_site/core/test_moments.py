"""Moments as the database tells them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.django_db

offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def told(expression: str, *values: object) -> datetime:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {expression}", values)
        return cursor.fetchone()[0]


@settings(max_examples=200)
@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=offsets))  # noqa: DTZ001
def test_come_back_as_they_went(at: datetime):
    found = told("%s::timestamptz", at)

    assert found == at
    assert found.tzinfo is UTC


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_are_in_utc_wherever_the_session_is(zone: str):
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL TIME ZONE '{zone}'")

    assert told("'2026-01-05 09:00:00.5+00'::timestamptz") == datetime(
        2026, 1, 5, 9, 0, 0, 500_000, tzinfo=UTC
    )


@pytest.mark.parametrize("beyond", ["infinity", "-infinity", "10000-01-01", "0044-03-15 BC"])
def test_that_python_does_not_know_are_refused(beyond: str):
    with pytest.raises(Exception, match=r"timestamp|date|year"):
        told(f"'{beyond}'::timestamptz")
