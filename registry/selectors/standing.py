"""How a request for promotion stands now: its gates, whose approvals count, who may do what.

Services decide by the same functions as pages and MLflow's answers: what one shows the other does.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.db.models import Q

from crowetrade_site.core import roles
from crowetrade_site.core.errors import DomainError
from crowetrade_site.core.services import CONSOLE
from registry.lifecycle import ASKED_FROM, RULES, RequestStatus, Stage
from registry.models import Approval, PromotionPolicy, PromotionRequest
from registry.rules.policies import Policy
from registry.selectors.authors import authors_of
from registry.selectors.dossiers import Dossiers
from registry.selectors.files import absent_files, n_not_looked_for
from registry.selectors.judging import judge_by
from registry.selectors.records import PENDING_REQUESTS

if TYPE_CHECKING:
    from registry.selectors.judging import Judgement

MOST_PEOPLE = 20
_LAPSED = "the evidence changed after the approvals; they have lapsed: approve anew"


@dataclass(frozen=True)
class Tally:
    """The approvals of a request, by whether they count for what there is now.

    Attributes
    ----------
    standing : list of Approval
        Of exactly this evidence, by people who may still give them.
    void : dict of int to str
        The others that were given and have not ended, by key: why each counts no more.
    n_needed : int
    able : mapping of int to User
        Who could give another one, by key.
    """

    standing: list[Approval]
    void: dict[int, str]
    n_needed: int
    able: Mapping[int, User]

    @property
    def lacking(self) -> list[str]:
        """Why too few approvals stand, or nothing."""
        n_standing = len(self.standing)
        if n_standing >= self.n_needed:
            return []
        why = sorted(set(self.void.values()))
        return why or [f"the request has {n_standing} of {self.n_needed} approvals"]


@dataclass(frozen=True)
class Standing:
    """How a request stands now.

    Attributes
    ----------
    report : dict
        The gates; of a request that ended, as they were last judged.
    policy : PromotionPolicy
        What they were judged by.
    evidence_digest : str
        What an approver agrees to now.
    tally : Tally
        The approvals of exactly that, and those that count no more.
    refusals : list of str
        Why an approval and the execution would be refused, whoever asks; nobody may approve then.
    execution_refusals : list of str
        Why the execution would be refused, whoever asks: these, or too few approvals that stand.
    n_files_not_looked_for : int
        Of a version of very many files: how many nobody has looked for in the store yet. The
        service hashes all.
    """

    report: dict[str, Any]
    policy: PromotionPolicy
    evidence_digest: str
    tally: Tally
    refusals: list[str]
    execution_refusals: list[str]
    n_files_not_looked_for: int

    @property
    def n_standing(self) -> int:
        """How many approvals count."""
        return len(self.tally.standing)

    @property
    def n_needed(self) -> int:
        """How many it takes."""
        return self.tally.n_needed

    @property
    def is_stale(self) -> bool:
        """Whether approvals that were given count no more."""
        return bool(self.tally.void)

    @cached_property
    def may_approve(self) -> list[User]:
        """Who could give another approval, the first by name."""
        able = self.tally.able.values()
        return sorted(able, key=User.get_username)[:MOST_PEOPLE]


def standing_of(request: PromotionRequest, *, at: datetime) -> Standing:
    """Return how a request stands; one that waits is judged anew."""
    return standings_of([request], at=at)[0]


def standings_of(requests: Sequence[PromotionRequest], *, at: datetime) -> list[Standing]:
    """Return how each of some requests stands, by as many queries as of one."""
    pending = [one for one in requests if one.status in PENDING_REQUESTS]
    known, able = Dossiers([one.version for one in pending], at), cache(_able)
    return [
        _standing(one, known, able) if one.status in PENDING_REQUESTS else _as_recorded(one, [])
        for one in requests
    ]


def _standing(request: PromotionRequest, known: Dossiers, able: "Able") -> Standing:
    version = request.version
    try:
        judged = judge_by(known, version, Stage(request.target))
    except DomainError as refusal:  # its policy is gone: what was judged last is all there is
        return _as_recorded(request, [refusal.detail])
    tally = _tally(request, judged, known.authors[version.pk], able)
    refusals = _refusals(request, judged, known.at)
    if refusals:
        tally = replace(tally, able={})
    return Standing(
        judged.report.document(), judged.policy, judged.evidence_digest, tally, refusals,
        refusals or tally.lacking, n_not_looked_for(version),
    )  # fmt: skip


def tally_of(request: PromotionRequest, judged: "Judgement") -> Tally:
    """Count the approvals of a request under a judgement.

    One counts as long as its approver could give it now: active, in a role that the policy in
    force asks for, and with no hand in the version, the request or the policy: neither who stored
    it nor who assigned it to the model.
    """
    return _tally(request, judged, authors_of(request.version), _able)


def _tally(
    request: PromotionRequest, judged: "Judgement", authors: AbstractSet[int], able: "Able"
) -> Tally:
    own = authors | judged.answering | {request.requested_by_id}
    deciding = able(deciding_roles(judged.policy, request.target))
    others = {pk: person for pk, person in deciding.items() if pk not in own}
    standing, void = list[Approval](), dict[int, str]()
    for one in (one for one in request.approvals.all() if one.lapsed_at is None):
        if one.evidence_digest != judged.evidence_digest:
            void[one.pk] = _LAPSED
        elif one.approver_id not in others:
            name = one.approver.get_username()
            void[one.pk] = f"{name} may approve it no more; it takes another approval"
        else:
            standing.append(one)
    for one in standing:
        del others[one.approver_id]
    return Tally(standing, void, judged.report.approvals_needed, others)


def deciding_roles(policy: PromotionPolicy, target: str) -> frozenset[roles.Role]:
    """Return the roles that decide about requests to a stage."""
    asked = Policy.model_validate(policy.document).of(target).approvals.roles
    return frozenset(roles.Role(name) for name in asked)


def may_do(user: User, request: PromotionRequest, standing: Standing) -> set[str]:
    """Return what somebody could do about a request now: approve, execute, reject, withdraw."""
    if request.status not in PENDING_REQUESTS:
        return set()
    held, granted, found = roles.roles_of(user), roles.grants(user), set()
    if "models:approve" in granted and held & deciding_roles(standing.policy, request.target):
        found.add("reject")
        is_wanted = standing.n_standing < standing.n_needed
        found |= {"approve"} if is_wanted and user.pk in standing.tally.able else set()
    rule = RULES[ASKED_FROM[Stage(request.target)], Stage(request.target)]
    is_due = request.status == RequestStatus.APPROVED and not standing.execution_refusals
    if is_due and rule.executes & held and "models:operate" in granted:
        given = [one.approver_id for one in request.approvals.all() if one.lapsed_at is None]
        found |= set() if user.pk in given else {"execute"}
    if user.pk in {request.requested_by_id, request.version.created_by_id}:
        found.add("withdraw")
    return found


Able = Callable[[frozenset[roles.Role]], Mapping[int, User]]


def _able(asked: frozenset[roles.Role]) -> Mapping[int, User]:
    """Return all who have one of these roles, by key. The console's account is no person's."""
    named = Q(groups__name__in=[str(role) for role in asked])
    if roles.Role.ADMIN in asked:
        named |= Q(is_superuser=True)
    able = User.objects.filter(named, is_active=True).exclude(username=CONSOLE)
    return {person.pk: person for person in able}


def _as_recorded(request: PromotionRequest, refusals: list[str]) -> Standing:
    """Return how a request stood when it was last judged; nobody agrees to it any more."""
    given = [one for one in request.approvals.all() if one.lapsed_at is None]
    report, digest = request.report, request.evidence_digest
    standing = [one for one in given if one.evidence_digest == digest]
    void = {one.pk: _LAPSED for one in given if one not in standing}
    tally = Tally(standing, void, int(report["approvals_needed"]), {})
    return Standing(report, request.policy, digest, tally, refusals, refusals, 0)


def _refusals(request: PromotionRequest, judged: "Judgement", at: datetime) -> list[str]:
    """Return why the service would refuse to go on with a request, in its order; files are last.

    Whether they hold other bytes only hashing shows, which is left to the service: what it finds
    compromises the version, and that is a gate.
    """
    version = request.version
    is_there = version.stage == ASKED_FROM[Stage(request.target)]
    known = (
        (request.expires_at <= at, f"the request ended on {request.expires_at:%Y-%m-%d}"),
        (not is_there, f"the version is in {version.stage} by now"),
        (version.digest != request.version_digest, "the version has other files than the request"),
    )
    refusals = [text for is_so, text in known if is_so] + judged.report.failures
    return refusals or absent_files(version)
