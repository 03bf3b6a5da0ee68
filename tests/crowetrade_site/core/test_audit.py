import json
import time
from datetime import datetime, timedelta, timezone
from uuid import RFC_4122

import pytest
from django.db import transaction

from crowetrade_site.core import audit, context, merkle
from crowetrade_site.core.models import ApiToken, AuditEvent
from tests.crowetrade_site.core.trail import NOON, note


class Undone(Exception):
    pass


class TestRecord:
    def test_appends_exactly_one_entry(self, db):
        note()

        assert AuditEvent.objects.count() == 1

    def test_writes_the_columns_the_content_says(self, researcher):
        token = ApiToken()
        with context.acting(request="request-1"), transaction.atomic():
            audit.record(
                "core.token.issued", token, actor=researcher, at=NOON, reason="because",
                before={"a": 1}, after={"a": 2},
            )  # fmt: skip

        event = AuditEvent.objects.get()
        stated = json.loads(event.canonical)
        assert stated == {
            "event_id": str(event.event_id),
            "at": "2026-01-05T12:00:00.000000Z",
            "verb": "core.token.issued",
            "actor": "researcher",
            "roles": ["researcher"],
            "reason": "because",
            "request_id": "request-1",
            "object_type": "core.ApiToken",
            "object_id": str(token.public_id),
            "before": {"a": 1},
            "after": {"a": 2},
        }
        assert (event.at, event.verb, event.actor) == (NOON, "core.token.issued", "researcher")
        assert (event.reason, event.request_id) == ("because", "request-1")
        assert (event.object_type, event.object_id) == ("core.ApiToken", str(token.public_id))
        assert bytes(event.leaf) == merkle.leaf_hash(event.canonical.encode())

    def test_names_entries_in_the_order_of_time(self, db):
        before = time.time_ns() // 1_000_000
        event_ids = [event.event_id for event in note(200)]
        after = time.time_ns() // 1_000_000

        moments = [event_id.int >> 80 for event_id in event_ids]
        assert moments == sorted(moments)
        assert before <= moments[0] <= moments[-1] <= after
        assert {(event_id.version, event_id.variant) for event_id in event_ids} == {(7, RFC_4122)}
        assert len({event_id.int & (1 << 62) - 1 for event_id in event_ids}) == 200

    def test_names_the_platform_where_no_person_acts(self, db):
        (event,) = note()

        assert event.actor == audit.SYSTEM
        assert json.loads(event.canonical)["roles"] == []

    def test_names_a_row_without_public_name_by_its_key(self, researcher):
        with transaction.atomic():
            audit.record("core.user.changed", researcher, actor=None, at=NOON)

        event = AuditEvent.objects.get()
        assert (event.object_type, event.object_id) == ("auth.User", str(researcher.pk))

    def test_takes_one_statement_however_many_entries_follow_each_other(
        self, researcher, django_assert_num_queries
    ):
        _ = researcher.is_active
        with transaction.atomic():
            with django_assert_num_queries(1):  # the actor's roles
                for _ in range(5):
                    audit.record("core.user.changed", researcher, actor=researcher, at=NOON)
            with django_assert_num_queries(2):
                assert AuditEvent.objects.count() == 5

    @pytest.mark.django_db(transaction=True)
    def test_refuses_outside_a_transaction(self):
        with pytest.raises(RuntimeError, match="inside the transaction of its change"):
            audit.record("core.test.noted", ApiToken(), actor=None, at=NOON)

        assert not AuditEvent.objects.exists()

    def test_goes_back_with_its_change(self, researcher):
        @transaction.atomic
        def change_and_fail() -> None:
            researcher.email = "x@example.org"
            researcher.save()
            audit.record("core.user.changed", researcher, actor=researcher, at=NOON)
            raise Undone

        with pytest.raises(Undone):
            change_and_fail()

        researcher.refresh_from_db()
        assert researcher.email == ""
        assert not AuditEvent.objects.exists()

    def test_refuses_a_moment_without_time_zone(self, db):
        with pytest.raises(ValueError, match="time zone"):
            note(at=datetime(2026, 1, 5))  # noqa: DTZ001 - the refusal is the point

    def test_refuses_values_without_canonical_text(self, db):
        with pytest.raises(ValueError, match="JSON compliant"), transaction.atomic():
            audit.record("a.b.c", ApiToken(), actor=None, at=NOON, after={"x": float("nan")})

        assert not AuditEvent.objects.exists()

    def test_refuses_the_character_no_column_can_hold(self, db):
        with pytest.raises(ValueError, match="NUL"), transaction.atomic():
            audit.record("a.b.c", ApiToken(), actor=None, at=NOON, reason="cut\0off")

        assert not AuditEvent.objects.exists()

    @pytest.mark.parametrize(
        "reason", ["it's", "a\\b", "50 % of %s", "ü€😀", "'); COMMIT; --", "E'\\'"]
    )
    def test_keeps_every_other_text_to_the_letter(self, db, reason):
        with transaction.atomic():
            audit.record("a.b.c", ApiToken(), actor=None, at=NOON, reason=reason)

        event = AuditEvent.objects.get()
        assert event.reason == json.loads(event.canonical)["reason"] == reason
        assert bytes(event.leaf) == merkle.leaf_hash(event.canonical.encode())


class TestStamp:
    def test_has_a_fixed_width_in_utc(self):
        east = datetime(2026, 1, 5, 14, 0, tzinfo=timezone(timedelta(hours=2)))

        assert audit.stamp(east) == "2026-01-05T12:00:00.000000Z"

    def test_sorts_like_time(self):
        moments = [NOON + timedelta(microseconds=step) for step in (0, 1, 10, 999_999)]

        assert sorted(map(audit.stamp, reversed(moments))) == list(map(audit.stamp, moments))
