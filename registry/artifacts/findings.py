"""Findings about model files, and the verdict that follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

MAX_TEXT = 400
NO_SIGN = "\N{REPLACEMENT CHARACTER}"


class Decision(StrEnum):
    """What may be done with a set of files."""

    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    REFUSED = "refused"


# What each finding leads to; what is not named here is a fault of this package.
CODES: dict[str, Decision] = {
    "faulty_document": Decision.ACCEPTED,  # a remark: what parameters are for only their users know
    # a remark: it is for people to know whom they trust; whoever installs the packages runs them
    "foreign_package_source": Decision.ACCEPTED,
    "pickle": Decision.QUARANTINED,
    "archive_broken": Decision.REFUSED,
    "archive_device": Decision.REFUSED,
    "archive_encrypted": Decision.REFUSED,
    "archive_link": Decision.REFUSED,
    "archive_members": Decision.REFUSED,
    "archive_nested": Decision.REFUSED,
    "archive_path": Decision.REFUSED,
    "archive_ratio": Decision.REFUSED,
    "archive_size": Decision.REFUSED,
    "author_trust_list": Decision.REFUSED,
    "broken_pickle": Decision.REFUSED,
    "computed_global": Decision.REFUSED,
    "empty": Decision.REFUSED,
    "endless_loop": Decision.REFUSED,
    "extension_code": Decision.REFUSED,
    "external_data": Decision.REFUSED,
    "file_size": Decision.REFUSED,
    "forbidden_global": Decision.REFUSED,
    "json_invalid": Decision.REFUSED,
    "keras_lambda": Decision.REFUSED,
    "keras_model": Decision.REFUSED,
    "loader_module": Decision.REFUSED,
    "mlmodel_flavor": Decision.REFUSED,
    "mlmodel_invalid": Decision.REFUSED,
    "mlmodel_key": Decision.REFUSED,
    "model_code": Decision.REFUSED,
    "model_missing": Decision.REFUSED,
    "model_outside": Decision.REFUSED,
    "nested_pickle": Decision.REFUSED,
    "no_model": Decision.REFUSED,
    "object_array": Decision.REFUSED,
    "persistent_id": Decision.REFUSED,
    "polyglot": Decision.REFUSED,
    "serialization_mismatch": Decision.REFUSED,
    "several_models": Decision.REFUSED,
    "trailing_bytes": Decision.REFUSED,
    "unknown_format": Decision.REFUSED,
    "unreadable_compression": Decision.REFUSED,
    "unsafe_package_source": Decision.REFUSED,
    "untrusted_type": Decision.REFUSED,
    "yaml_invalid": Decision.REFUSED,
    "yaml_tag": Decision.REFUSED,
}
_SEVERITY = (Decision.ACCEPTED, Decision.QUARANTINED, Decision.REFUSED)


def printable(text: str) -> str:
    """Return a text with a mark for each sign that no database or page keeps: files choose words.

    A NUL or half a pair of UTF-16 would else keep what was found from being written down.
    """
    return "".join(sign if sign.isprintable() else NO_SIGN for sign in text)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that was found in one file.

    Attributes
    ----------
    code : str
        Stable name, a key of `CODES`.
    path : str
        The file, and the place inside it after "!" (``model.zip!data.pkl``); empty for the whole.
    text : str
        What was found, by name: ``posix.system``.
    """

    code: str
    path: str
    text: str

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise KeyError(self.code)
        text = self.text if len(self.text) <= MAX_TEXT else f"{self.text[: MAX_TEXT - 3]}..."
        object.__setattr__(self, "text", printable(text))
        object.__setattr__(self, "path", printable(self.path))

    @property
    def decision(self) -> Decision:
        """What this finding alone leads to."""
        return CODES[self.code]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def decide(findings: Iterable[Finding]) -> Decision:
    """Return the severest decision that any finding leads to; accepted without findings."""
    worst = max((_SEVERITY.index(finding.decision) for finding in findings), default=0)
    return _SEVERITY[worst]
