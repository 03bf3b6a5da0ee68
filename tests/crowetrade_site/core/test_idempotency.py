import threading
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from crowetrade_site.core import idempotency
from crowetrade_site.core.errors import DuplicateRequest, InvalidInput
from crowetrade_site.core.models import IdempotencyKey
from tests.crowetrade_site.core.threads import in_threads

DIGEST = "a" * 64


@transaction.atomic
def make(user: User, key: str, digest: str = DIGEST) -> UUID:
    """Do what a service does: recall, make something, remember it."""
    if earlier := idempotency.recall(user, key, digest):
        return earlier
    made = uuid4()
    idempotency.remember(user, key, digest, made)
    return made


class TestRecall:
    def test_returns_what_the_first_request_made(self, researcher):
        assert make(researcher, "key") == make(researcher, "key")

    def test_knows_nothing_without_a_key(self, researcher, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert idempotency.recall(researcher, "", DIGEST) is None
        assert make(researcher, "") != make(researcher, "")

    def test_keeps_users_apart(self, researcher, make_user):
        assert make(researcher, "key") != make(make_user("operator"), "key")

    def test_refuses_the_key_for_another_request(self, researcher):
        make(researcher, "key")

        with pytest.raises(DuplicateRequest, match="used for another request") as refusal:
            make(researcher, "key", "b" * 64)
        assert refusal.value.status == 409

    @pytest.mark.parametrize("key", ["x" * 201, "a\0b", "a\nb"])
    def test_refuses_a_key_no_column_takes(self, researcher, key):
        with pytest.raises(InvalidInput, match="at most 200 printable"):
            make(researcher, key)

    def test_takes_the_longest_key(self, researcher):
        assert make(researcher, "x" * 200) == make(researcher, "x" * 200)


class TestRemember:
    def test_is_forgotten_with_its_transaction(self, researcher):
        @transaction.atomic
        def make_and_fail() -> None:
            make(researcher, "key")
            raise KeyError("inside")

        with pytest.raises(KeyError):
            make_and_fail()

        assert idempotency.recall(researcher, "key", DIGEST) is None

    @pytest.mark.django_db(transaction=True)
    def test_lets_one_of_two_requests_at_the_same_moment_through(self):
        user = User.objects.create_user("ada")
        both_recalled = threading.Barrier(2)

        @transaction.atomic
        def request() -> UUID:
            assert idempotency.recall(user, "key", DIGEST) is None
            both_recalled.wait(20)
            made = uuid4()
            idempotency.remember(user, "key", DIGEST, made)
            return made

        def answer(_: int) -> UUID | str:
            try:
                return request()
            except DuplicateRequest as refusal:
                return refusal.detail

        answers = in_threads(2, answer)

        (made,) = [each for each in answers if isinstance(each, UUID)]
        (refused,) = [each for each in answers if isinstance(each, str)]
        assert "ask again in a moment" in refused
        assert IdempotencyKey.objects.get().object_id == made
        assert make(user, "key") == made
