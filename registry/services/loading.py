"""Loading models, with a mark on the version whose bytes turn out to be others."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from django.db import connection
from django.utils import timezone

from crowetrade_site.core.errors import Corrupted, NotFound
from registry import jobs, selectors
from registry.selectors import RegisteredPredictor


def load(uri: str) -> RegisteredPredictor:
    """Open the model of a version; one of other bytes is compromised from then on.

    Raises
    ------
    InvalidInput, NotFound, Conflict, Corrupted
        As `selectors.load`; the mark and its event are written before the last one leaves, unless
        a transaction is open: `remembering_other_bytes` goes round that.
    """
    with remembering_other_bytes():
        return selectors.load(uri)


@contextmanager
def remembering_other_bytes() -> Iterator[None]:
    """Put on record what a load refuses as other bytes; also a decorator round a transaction.

    A mark of inside would be rolled back with the refusal. All files of the version are hashed
    again, where they are stored: other bytes in a cache of this machine are no forgery there.
    """
    try:
        yield
    except Corrupted as refusal:
        version_id = refusal.extensions.get("version_id")
        if version_id and not connection.in_atomic_block:
            with suppress(Corrupted, NotFound):  # whoever deletes the version is faster
                version = selectors.get_version(UUID(version_id))
                jobs.require_intact(version, at=timezone.now())
        raise
