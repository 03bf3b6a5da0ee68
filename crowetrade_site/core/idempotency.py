"""Requests that arrive twice: the key is remembered in the transaction of what it made."""

from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from crowetrade_site.core.errors import DuplicateRequest, InvalidInput
from crowetrade_site.core.models import IdempotencyKey

LONGEST = 200


def recall(user: User, key: str, request_digest: str) -> UUID | None:
    """Return what an earlier request of this key made, or None.

    Raises
    ------
    DuplicateRequest
        The key was used for a different request (409).
    InvalidInput
        The key is too long, or not printable (422).
    """
    if not key:
        return None
    if len(key) > LONGEST or not key.isprintable():
        raise InvalidInput(f"An Idempotency-Key has at most {LONGEST} printable characters.")
    earlier = IdempotencyKey.objects.filter(user=user, key=key).first()
    if earlier is None:
        return None
    if earlier.request_digest != request_digest:
        raise DuplicateRequest(
            f"The Idempotency-Key {key!r} was used for another request; use a new key."
        )
    return earlier.object_id


def remember(user: User, key: str, request_digest: str, object_id: UUID) -> None:
    """Bind a key to what the present transaction makes.

    Raises
    ------
    DuplicateRequest
        The same key is being used by a request at this moment; ask again (409).
    """
    if not key:
        return
    try:
        with transaction.atomic():
            IdempotencyKey.objects.create(
                user=user, key=key, request_digest=request_digest, object_id=object_id
            )
    except IntegrityError:
        raise DuplicateRequest(
            f"A request with the Idempotency-Key {key!r} is at work; ask again in a moment."
        ) from None
