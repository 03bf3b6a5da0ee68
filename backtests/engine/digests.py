"""One name for equal content: SHA-256 over a canonical encoding of settings and arrays."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def content_digest(document: Mapping[str, object], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of a document and named arrays.

    Parameters
    ----------
    document : mapping
        JSON values; keys are sorted, so their order does not matter.
    arrays : mapping of str to array
        Written by name, type, shape and little-endian bytes in row order.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    digest.update(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\0{name}\0{array.dtype.descr}\0{array.shape}\0".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
