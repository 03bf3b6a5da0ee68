"""From a unit's name to its bucket, a whole number below 2**64, by SHA-256.

The bucket of a unit under a salt is the first 8 bytes of the SHA-256 of the UTF-8 text
``salt:unit``, read as a big-endian whole number; its point is that number over 2**64. Whether a
point is below a share is decided in whole numbers, so that every language that can hash says the
same. A salt has no colon, so that no two pairs of salt and unit have one text.

References
----------
.. [1] NIST (2015), FIPS 180-4, "Secure Hash Standard", 6.2 (SHA-256).
"""

import math
import re
from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from experiments.assignment.errors import SettingsError, UnitError

N_BUCKETS = 2**64
LONGEST_UNIT = 256  # bytes

_SALT = re.compile(r"[A-Za-z0-9._-]{1,64}(/[a-z]{1,16})?")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_DIGEST_BYTES = 8


def bucket(salt: str, unit: str) -> int:
    """Return the bucket of a unit under a salt, in [0, 2**64).

    Parameters
    ----------
    salt : str
        1 to 64 of ``A-Z a-z 0-9 . _ -``, and then perhaps ``/purpose``.
    unit : str
        1 to 256 bytes of UTF-8 without control characters. Not normalized: two spellings of one
        accented letter are two units.

    Raises
    ------
    UnitError, SettingsError
        The unit's name, the salt is none.
    """
    return hashed(salt_prefix(salt), unit_bytes(unit))


def buckets_of(salt: str, units: Sequence[str]) -> NDArray[np.uint64]:
    """Return the buckets of many units under a salt.

    Returns
    -------
    uint64 array, shape (n_units,)
        In the order of the units.

    Raises
    ------
    UnitError, SettingsError
        As of `bucket`; the first unit that is none is named by its position.
    """
    prefix = salt_prefix(salt)
    digests = b"".join(
        [sha256(prefix + name).digest()[:_DIGEST_BYTES] for name in _all_bytes(units)]
    )
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64)


def point(number: int) -> float:
    """Return a bucket as a point in [0, 1), rounded down to 53 bits: for eyes and figures.

    Nothing is decided by it: comparisons are of buckets with `threshold`.
    """
    return (number >> 11) / 2**53


def threshold(share: float) -> int:
    """Return the least bucket that is not below a share: ``ceil(share * 2**64)``.

    A bucket is below it exactly where ``bucket / 2**64 < share`` in exact arithmetic: the product
    with a power of two rounds nothing.

    Parameters
    ----------
    share : float
        In [0, 1].

    Raises
    ------
    SettingsError
        It is not.
    """
    if not 0.0 <= share <= 1.0:
        raise SettingsError(f"{share!r} is no share: it is a number from 0 to 1.")
    return math.ceil(share * float(N_BUCKETS))


def hashed(prefix: bytes, name: bytes) -> int:
    """Return the bucket of a name that was checked, under a prefix of `salt_prefix`."""
    return int.from_bytes(sha256(prefix + name).digest()[:_DIGEST_BYTES], "big")


def salt_prefix(salt: str) -> bytes:
    """Return what is hashed before the unit's bytes.

    Raises
    ------
    SettingsError
        The salt is none.
    """
    if not isinstance(salt, str) or _SALT.fullmatch(salt) is None:
        raise SettingsError(
            f"{str(salt)[:80]!r} is no salt: it has 1 to 64 of the characters A-Z a-z 0-9 . _ -"
        )
    return salt.encode() + b":"


def unit_bytes(unit: str) -> bytes:
    """Return a unit's name in UTF-8.

    Raises
    ------
    UnitError
        It is no text, empty, longer than 256 bytes, has control characters or half a surrogate.
    """
    if not isinstance(unit, str):
        raise UnitError(f"A unit is named by a text, not by {type(unit).__name__}.")
    # A character has at least one byte, so that a name of 10 MB is refused before it is encoded.
    if not 0 < len(unit) <= LONGEST_UNIT:
        raise UnitError(f"A unit's name has 1 to {LONGEST_UNIT} bytes, not {len(unit):,}.")
    # All that is printable has no control characters, and is told in a third of the time.
    if not unit.isprintable() and _CONTROL.search(unit):
        raise UnitError(f"The unit {unit[:50]!r} has control characters.")
    try:
        name = unit.encode()
    except UnicodeEncodeError:
        raise UnitError(f"The unit {unit[:50]!r} is not UTF-8.") from None
    if len(name) > LONGEST_UNIT:
        raise UnitError(f"A unit's name has 1 to {LONGEST_UNIT} bytes, not {len(name):,}.")
    return name


def _all_bytes(units: Sequence[str]) -> list[bytes]:
    names = []
    for position, unit in enumerate(units):
        try:
            names.append(unit_bytes(unit))
        except UnitError as error:
            raise UnitError(f"Unit {position:,}: {error}") from None
    return names
