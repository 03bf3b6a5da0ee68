"""What gates read, and what they answer."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a gate answers."""

    MET = "met"
    NOT_MET = "not met"
    NOT_COMPUTED = "not computed"
    TOLD = "told"  # no gate asks, and nothing stops: it is neither met nor unmet


@dataclass(frozen=True)
class EvidenceFacts:
    """What a gate reads of a piece of evidence.

    Attributes
    ----------
    version_digest : str
        Of the artifact that it speaks of; empty where it names none.
    is_current : bool
        Whether code and data are still those that it was measured with.
    arrived : int
        The registry's own order of arrival: what is newest and what supersedes goes by it, and by
        no clock of a worker. `produced_at` says how old evidence is.
    is_superseded : bool
        Whether newer evidence has taken its place: a failure that is may still stop.
    source : str
        What was computed, or who attests; it ends with an identifier of its own.
    reproduces : str
        Of a reproduction or a check: the identifier of what was computed once more.
    data : str
        Digest of the dataset that it was measured on; empty where it names none.
    quality : str
        Digest of what the import of that dataset found: the same bars may have come from other
        files. Empty where it names none.
    code : str
        Digest of the code that measured it; empty where it names none.
    computed : str
        What was computed, by the digests of data, spec and code: where these and the bytes agree,
        two runs are the same computation. Empty where it does not name all of them.
    strategy : str
        Digest of what its run traded by, as it was read from the file; empty where it names none.
    is_of_author : bool
        Whether who attests had a hand in the version, be it that they came to have it afterwards.
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
    arrived: int = 0
    is_superseded: bool = False
    source: str = ""
    reproduces: str = ""
    data: str = ""
    quality: str = ""
    code: str = ""
    computed: str = ""
    strategy: str = ""
    is_of_author: bool = False


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
        Digests of the data that it, or another version of the same bytes, says it was made from.
    datasets_set_aside : sequence of str
        Versions of the same bytes that name more, and do not count: later ones of other people.
    limits : mapping of str
        Of use, by its model's card.
    strategies : set of str
        Digests of what runs of its bytes traded by: other bytes may say the same.
    """

    digest: str
    scan: str
    is_intact: bool
    has_signature: bool
    missing: Sequence[str] = ()
    waived_until: datetime | None = None
    findings: Sequence[str] = ()
    datasets: Sequence[str] = ()
    datasets_set_aside: Sequence[str] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    strategies: AbstractSet[str] = frozenset()


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
    repeats : sequence of EvidenceFacts
        Reproductions and checks of the other versions of the same bytes, or of the same strategy,
        and those of this one that were superseded.
    """

    earlier: Sequence[EvidenceFacts] = ()
    older: Mapping[str, Older] = field(default_factory=dict)
    repeats: Sequence[EvidenceFacts] = ()


@dataclass(frozen=True)
class GateResult:
    """What one gate answered, and why.

    Attributes
    ----------
    evidence : tuple of str
        What the answer rests on.
    told : tuple of str
        What failed and decides nothing any more; whoever agrees to the answer has seen it.
    """

    name: str
    outcome: Outcome
    reason: str
    evidence: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    @property
    def is_in_the_way(self) -> bool:
        """Whether a version does not go up by it."""
        return self.outcome not in (Outcome.MET, Outcome.TOLD)
