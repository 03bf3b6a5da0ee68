"""Who is waited for: requests for promotion as they stand, and for whom they wait."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet

from crowetrade_site.core import roles
from crowetrade_site.core.errors import DomainError
from crowetrade_site.core.services import CONSOLE
from registry.lifecycle import RULES, RequestStatus, Stage
from registry.models import Approval, ModelVersion, PromotionRequest
from registry.rules.policies import Policy
from registry.selectors.authors import authors_of, authors_of_each
from registry.selectors.files import absent_files, n_not_looked_for
from registry.selectors.judging import judge
from registry.selectors.records import PENDING_REQUESTS, list_requests

if TYPE_CHECKING:
    from registry.selectors.judging import Judgement

MOST_PEOPLE = 20
MOST_RENEWED = 100  # own approvals that are judged anew


@dataclass(frozen=True)
class Standing:
    """How a request stands now.

    Attributes
    ----------
    report : dict
        The gates; of a request that ended, as they were last judged.
    evidence_digest : str
        What an approver agrees to now.
    n_standing, n_needed : int
        Approvals of exactly that, and how many it takes.
    may_approve : list of User
        Who could give another one.
    is_stale : bool
        Whether approvals were given to other evidence: they lapse.
    refusals : list of str
        Why an approval and the execution would be refused, whoever asks; nobody may approve then.
    execution_refusals : list of str
        Why the execution would be refused, whoever asks: these, or too few approvals that stand.
    n_files_not_looked_for : int
        Of a version of very many files: how many nobody has looked for in the store yet. The
        service hashes all.
    """

    report: dict[str, Any]
    evidence_digest: str
    n_standing: int
    n_needed: int
    may_approve: list[User]
    is_stale: bool
    refusals: list[str]
    execution_refusals: list[str]
    n_files_not_looked_for: int


def standing_of(request: PromotionRequest, *, at: datetime) -> Standing:
    """Return how a request stands; one that waits is judged anew."""
    judged = _judged(request, at)
    report = request.report if judged is None else judged.report.document()
    digest = request.evidence_digest if judged is None else judged.evidence_digest
    given = [one for one in request.approvals.all() if one.lapsed_at is None]
    standing = [one for one in given if one.evidence_digest == digest]
    refusals = [] if judged is None else _refusals(request, judged, at)
    is_possible = judged is not None and not refusals
    able = list(may_approve(request, digest)[:MOST_PEOPLE]) if is_possible else []
    n_needed, is_stale = int(report["approvals_needed"]), len(standing) < len(given)
    lacking = [] if judged is None else _lacking(len(standing), n_needed, is_stale=is_stale)
    return Standing(
        report, digest, len(standing), n_needed, able, is_stale, refusals, refusals or lacking,
        0 if judged is None else n_not_looked_for(request.version),
    )  # fmt: skip


def _lacking(n_standing: int, n_needed: int, *, is_stale: bool) -> list[str]:
    """Return why too few approvals stand, or nothing."""
    if n_standing >= n_needed:
        return []
    if is_stale:
        return ["the evidence changed after the approvals; they have lapsed: approve anew"]
    return [f"the request has {n_standing} of {n_needed} approvals"]


def _refusals(request: PromotionRequest, judged: "Judgement", at: datetime) -> list[str]:
    """Return why the service would refuse to go on with a request, in its order; files are last.

    Whether they hold other bytes only hashing shows, which is left to the service: what it finds
    compromises the version, and that is a gate.
    """
    version = request.version
    pair = (Stage(version.stage), Stage(request.target))
    known = (
        (request.expires_at <= at, f"the request ended on {request.expires_at:%Y-%m-%d}"),
        (pair not in RULES, f"the version is in {version.stage} by now"),
        (version.digest != request.version_digest, "the version has other files than the request"),
    )
    refusals = [text for is_so, text in known if is_so] + judged.report.failures
    return refusals or absent_files(version)


def _judged(request: PromotionRequest, at: datetime) -> "Judgement | None":
    if request.status not in PENDING_REQUESTS:
        return None
    try:
        return judge(request.version, Stage(request.target), at=at)
    except DomainError:  # its policy is gone: what was judged last is all there is
        return None


def may_approve(request: PromotionRequest, evidence_digest: str) -> QuerySet[User]:
    """Return who may still approve a request: by role, and not to judge what is their own.

    Whoever approved other evidence may approve anew. The console's account is no person's.
    """
    asked = Policy.model_validate(request.policy.document).of(request.target).approvals.roles
    named = Q(groups__name__in=asked)
    if roles.Role.ADMIN in asked:
        named |= Q(is_superuser=True)
    gone = _of_their_own(request, authors_of(request.version)) | {
        one.approver_id
        for one in request.approvals.all()
        if one.lapsed_at is None and one.evidence_digest == evidence_digest
    }
    able = User.objects.filter(named, is_active=True).exclude(pk__in=gone)
    able = able.exclude(username=CONSOLE)
    return able.distinct().order_by("username")


def _of_their_own(request: PromotionRequest, authors: set[int]) -> set[int]:
    """Return whose own the request, the version or the policy is."""
    stored_by = request.policy.stored_by_id
    return authors | {request.requested_by_id} | ({stored_by} if stored_by else set())


def waiting_for(user: User, *, at: datetime) -> QuerySet[PromotionRequest]:
    """Return the requests that somebody could decide or carry out."""
    held = roles.roles_of(user)
    allowed = roles.grants(user)
    wanted = Q(pk__in=[])
    if "models:approve" in allowed:
        able = Q(pk__in=[])
        for (_, target), rule in RULES.items():
            if rule.approves & held:
                able |= _to_approve(user, target, sorted(rule.approves & held))
        wanted |= Q(pk__in=_not_their_own(user, able, at)) | Q(pk__in=_to_renew(user, at))
    given = Approval.objects.filter(request=OuterRef("pk"), approver=user, lapsed_at=None)
    for (_, target), rule in RULES.items():
        if rule.executes & held and "models:operate" in allowed:
            wanted |= Q(~Exists(given), status=RequestStatus.APPROVED, target=target)
    return list_requests().filter(wanted, expires_at__gt=at)


def _to_approve(user: User, target: Stage, held: list[roles.Role]) -> Q:
    by_role = Q(pk__in=[])
    for role in held:
        key = f"policy__document__{target}__approvals__roles__contains"
        by_role |= Q(**{key: [str(role)]})
    own = Q(requested_by=user) | Q(version__created_by=user) | Q(policy__stored_by=user)
    given = Approval.objects.filter(request=OuterRef("pk"), approver=user, lapsed_at=None)
    is_open = Q(status=RequestStatus.OPEN, target=target)
    return is_open & by_role & ~own & Q(~Exists(given))


def _not_their_own(user: User, wanted: Q, at: datetime) -> list[int]:
    """Return the requests among these for versions that somebody had no hand in."""
    rows = PromotionRequest.objects.filter(wanted, expires_at__gt=at)
    versions = dict(rows.values_list("pk", "version"))
    authors = authors_of_each(set(versions.values())) if versions else {}
    return [pk for pk, version in versions.items() if user.pk not in authors[version]]


def _to_renew(user: User, at: datetime) -> list[int]:
    """Return the requests that somebody approved on other evidence than there is now.

    Only a judgement tells; somebody's own approvals of what still waits are few.
    """
    given = Approval.objects.filter(approver=user, lapsed_at=None, request__expires_at__gt=at)
    seen = dict(
        given.filter(request__status__in=PENDING_REQUESTS)
        .order_by("-id")
        .values_list("request", "evidence_digest")[:MOST_RENEWED]
    )
    stale = []
    for request in list_requests().filter(pk__in=seen):
        judged = _judged(request, at)
        if judged is not None and judged.evidence_digest != seen[request.pk]:
            stale.append(request.pk)
    return stale


def count_production_versions() -> int:
    """Return how many versions are in production."""
    return ModelVersion.objects.in_stage(Stage.PRODUCTION).count()
