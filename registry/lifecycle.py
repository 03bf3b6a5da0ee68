"""The stages of a model version, the moves between them, and who may make which."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from crowetrade_site.core.lifecycle import Lifecycle
from crowetrade_site.core.roles import Role


class Stage(StrEnum):
    """Where a model version is."""

    DEVELOPMENT = "development"
    TESTING = "testing"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


class VersionStatus(StrEnum):
    """Whether the files of a version were looked at, and what came of it."""

    PENDING = "pending"
    READY = "ready"
    QUARANTINED = "quarantined"  # a pickle: opened in the sandbox alone
    REFUSED = "refused"


class RequestStatus(StrEnum):
    """How a request for promotion stands."""

    OPEN = "open"
    APPROVED = "approved"
    EXECUTED = "executed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class ConversionStatus(StrEnum):
    """How a conversion stands."""

    QUEUED = "queued"
    DONE = "done"
    FAILED = "failed"


class ConversionTarget(StrEnum):
    """What a model is converted to."""

    SKOPS = "skops"
    ONNX = "onnx"


class MissingValues(StrEnum):
    """What is done about rows with missing values where a model becomes ONNX."""

    COMPARE = "compare"  # they are compared as well, where the model takes them
    REFUSE = "refuse"  # complete rows alone are compared, and the new version takes no others


class EvidenceStatus(StrEnum):
    """Whether evidence still counts."""

    VALID = "valid"
    SUPERSEDED = "superseded"


STAGES = Lifecycle(
    "model version",
    {
        Stage.DEVELOPMENT: frozenset({Stage.TESTING, Stage.ARCHIVED}),
        Stage.TESTING: frozenset({Stage.STAGING, Stage.DEVELOPMENT, Stage.ARCHIVED}),
        Stage.STAGING: frozenset({Stage.PRODUCTION, Stage.DEVELOPMENT, Stage.ARCHIVED}),
        Stage.PRODUCTION: frozenset({Stage.ARCHIVED}),
        # back to production: a rollback to the version that was there before
        Stage.ARCHIVED: frozenset({Stage.DEVELOPMENT, Stage.PRODUCTION}),
    },
)

VERSIONS = Lifecycle(
    "registration",
    {
        VersionStatus.PENDING: frozenset(
            {VersionStatus.READY, VersionStatus.QUARANTINED, VersionStatus.REFUSED}
        ),
        # by newer rules, never while it is in production
        VersionStatus.READY: frozenset({VersionStatus.QUARANTINED, VersionStatus.REFUSED}),
        VersionStatus.QUARANTINED: frozenset(),
        VersionStatus.REFUSED: frozenset(),
    },
)

CONVERSIONS = Lifecycle(
    "conversion",
    {
        ConversionStatus.QUEUED: frozenset({ConversionStatus.DONE, ConversionStatus.FAILED}),
        ConversionStatus.DONE: frozenset(),
        ConversionStatus.FAILED: frozenset(),
    },
)

REQUESTS = Lifecycle(
    "promotion request",
    {
        RequestStatus.OPEN: frozenset(
            {
                RequestStatus.APPROVED, RequestStatus.EXECUTED, RequestStatus.REJECTED,
                RequestStatus.WITHDRAWN, RequestStatus.EXPIRED,
            }
        ),
        RequestStatus.APPROVED: frozenset(
            {
                RequestStatus.OPEN,  # its approvals lapsed
                RequestStatus.EXECUTED, RequestStatus.REJECTED, RequestStatus.WITHDRAWN,
                RequestStatus.EXPIRED,
            }
        ),
        RequestStatus.EXECUTED: frozenset(),
        RequestStatus.REJECTED: frozenset(),
        RequestStatus.WITHDRAWN: frozenset(),
        RequestStatus.EXPIRED: frozenset(),
    },
)  # fmt: skip

# One of these is asked for to move a version; which move it is decides about the role.
MOVING_SCOPES = ("models:write", "models:approve", "models:operate")
# What a token must carry for a role of its user to count for a move: one of these.
SCOPES_OF_ROLE: Mapping[Role, frozenset[str]] = {
    Role.RESEARCHER: frozenset({"models:write"}),
    Role.VALIDATOR: frozenset({"models:approve"}),
    Role.OPERATOR: frozenset({"models:operate"}),
    Role.ADMIN: frozenset({"models:approve", "models:operate"}),
}
# Stages that a version climbs to: nothing that is compromised does.
UP = (Stage.TESTING, Stage.STAGING, Stage.PRODUCTION)
_NOBODY: frozenset[Role] = frozenset()


@dataclass(frozen=True)
class MoveRule:
    """Who may do what about one move.

    Attributes
    ----------
    name : str
        What people call the move.
    of_own : set of Role
        May make it at once for versions that they registered.
    of_any : set of Role
        May make it at once for every version.
    requests, approves, executes : set of Role
        Where it takes a request: who may hand one in, approve it, and carry it out.
    needs_reason : bool
    """

    name: str
    of_own: frozenset[Role] = _NOBODY
    of_any: frozenset[Role] = _NOBODY
    requests: frozenset[Role] = _NOBODY
    approves: frozenset[Role] = _NOBODY
    executes: frozenset[Role] = _NOBODY
    needs_reason: bool = False

    @property
    def takes_request(self) -> bool:
        """Whether nobody may make the move at once."""
        return bool(self.requests)

    def able(self, *, is_own: bool) -> frozenset[Role]:
        """Return the roles that may make the move at once."""
        return self.of_any | self.of_own if is_own else self.of_any

    def allows(self, held: Collection[Role], *, is_own: bool) -> bool:
        """Say whether somebody with these roles may make the move at once."""
        return not self.able(is_own=is_own).isdisjoint(held)


_RESEARCHER = frozenset({Role.RESEARCHER})
_JUDGES = frozenset({Role.VALIDATOR, Role.ADMIN})
_IN_CHARGE = frozenset({Role.VALIDATOR, Role.OPERATOR, Role.ADMIN})
_REWORK = MoveRule("rework", of_own=_RESEARCHER, of_any=_JUDGES, needs_reason=True)
_REVOKE = MoveRule("revoke", of_own=_RESEARCHER, of_any=_IN_CHARGE, needs_reason=True)

# Stopping never needs approval. A request for staging is carried out by its last approval.
RULES: Mapping[tuple[Stage, Stage], MoveRule] = {
    (Stage.DEVELOPMENT, Stage.TESTING): MoveRule("submit", of_own=_RESEARCHER, of_any=_JUDGES),
    (Stage.TESTING, Stage.STAGING): MoveRule(
        "promote to staging", requests=_RESEARCHER, approves=_JUDGES
    ),
    (Stage.STAGING, Stage.PRODUCTION): MoveRule(
        "promote to production",
        requests=_RESEARCHER | {Role.OPERATOR},
        approves=_JUDGES,
        executes=frozenset({Role.OPERATOR}),
        needs_reason=True,
    ),
    (Stage.TESTING, Stage.DEVELOPMENT): _REWORK,
    (Stage.STAGING, Stage.DEVELOPMENT): _REWORK,
    (Stage.DEVELOPMENT, Stage.ARCHIVED): _REVOKE,
    (Stage.TESTING, Stage.ARCHIVED): _REVOKE,
    (Stage.STAGING, Stage.ARCHIVED): _REVOKE,
    (Stage.PRODUCTION, Stage.ARCHIVED): MoveRule("revoke", of_any=_IN_CHARGE, needs_reason=True),
    (Stage.ARCHIVED, Stage.DEVELOPMENT): MoveRule(
        "revive", of_own=_RESEARCHER, of_any=_JUDGES, needs_reason=True
    ),
    (Stage.ARCHIVED, Stage.PRODUCTION): MoveRule("roll back", of_any=_IN_CHARGE, needs_reason=True),
}


# Where a version is for which a move up is requested. A rollback reaches production, too, and takes
# no request: of a request only this says whether its version is still where it was asked for.
ASKED_FROM: Mapping[Stage, Stage] = {
    target: before for (before, target), rule in RULES.items() if rule.takes_request
}
