"""What gates read, and what they answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a gate answers."""

    MET = "met"
    NOT_MET = "not met"
    NOT_COMPUTED = "not computed"


@dataclass(frozen=True)
class EvidenceFacts:
    """What a gate reads of a piece of evidence.

    Attributes
    ----------
    version_digest : str
        Of the artifact that it speaks of; empty where it names none.
    is_current : bool
        Whether code and data are still those that it was measured with.
    source : str
        What was computed, or who attests; it ends with an identifier of its own.
    reproduces : str
        Of a reproduction or a check: the identifier of what was computed once more.
    data : str
        Digest of the dataset that it was measured on; empty where it names none.
    quality : str
        Digest of what the import of that dataset found: the same bars may have come from other
        files. Empty where it names none.
    computed : str
        What was computed, by the digests of data, spec and code: where these and the bytes agree,
        two runs are the same computation. Empty where it does not name all of them.
    """

    name: str
    kind: str
    topic: str
    is_measured: bool
    figures: Mapping[str, Any]
    version_digest: str
    produced_at: datetime
    expires_at: datetime | None = None
    is_current: bool = True
    source: str = ""
    reproduces: str = ""
    data: str = ""
    quality: str = ""
    computed: str = ""


@dataclass(frozen=True)
class VersionFacts:
    """What the registry knows of a version by itself.

    Attributes
    ----------
    scan : {"ready", "quarantined", "pending", "refused"}
    waived_until : datetime, optional
        Until when a quarantined version may be above development.
    missing : sequence of str
        Fields of the model card that are empty.
    datasets : sequence of str
        Digests of the data that it says it was made from.
    """

    digest: str
    scan: str
    is_intact: bool
    has_signature: bool
    missing: Sequence[str] = ()
    waived_until: datetime | None = None
    findings: Sequence[str] = ()
    datasets: Sequence[str] = ()


@dataclass(frozen=True)
class Older:
    """Superseded evidence of one kind that is too much to be told piece by piece.

    Attributes
    ----------
    extremes : mapping of str to tuple of float
        The least and the most that each figure was.
    """

    n: int
    extremes: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class History:
    """What no gate is met by: it is told, and a failure in it may stop.

    Attributes
    ----------
    earlier : sequence of EvidenceFacts
        Measured evidence that newer one has superseded, the newest of each kind.
    older : mapping of str to Older
        By kind: what was superseded before these.
    failed : sequence of EvidenceFacts
        Superseded reproductions and checks that failed, of all versions of the same bytes.
    twins : sequence of EvidenceFacts
        Valid reproductions and checks of the other versions of the same bytes.
    """

    earlier: Sequence[EvidenceFacts] = ()
    older: Mapping[str, Older] = field(default_factory=dict)
    failed: Sequence[EvidenceFacts] = ()
    twins: Sequence[EvidenceFacts] = ()


@dataclass(frozen=True)
class GateResult:
    """What one gate answered, and why."""

    name: str
    outcome: Outcome
    reason: str
    evidence: tuple[str, ...] = ()
