"""Promotion policies: stored, never changed, assigned to models."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from crowetrade_site.core import audit, canonical, documents, idempotency, roles
from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput
from registry import selectors
from registry.models import ModelVersion, PromotionPolicy, RegisteredModel
from registry.rules.policies import Policy
from registry.services.steps import lock_model

_LOCK = 7_404_001  # of PostgreSQL's advisory locks: numbers of policies are given one at a time


@transaction.atomic(durable=True)
def store_policy(
    *, name: str, text: str, actor: User, at: datetime, reason: str, idempotency_key: str = ""
) -> PromotionPolicy:
    """Store the next version of a policy; it is in force from then on.

    Raises
    ------
    Forbidden
        Only validators and admins set policies, and none that judges a model of their own (403).
    InvalidInput
        It is no policy: an unknown key or gate, a value out of range; or a gate that nothing can
        ever meet, or a stage that nobody decides about (422).
    Conflict
        It says what the version in force says. What another person stored may be stored again, by
        who then answers for it (409).
    """
    _require_judge(actor)
    if not reason.strip():
        raise InvalidInput("A new policy needs a reason.")
    if not name or len(name) > 80 or not all(c.isalnum() or c in "-_" for c in name):
        raise InvalidInput(f"{name!r} is no name of a policy: use letters, digits, '-' and '_'.")
    if _judges_own(name, actor):
        raise Forbidden(f"Nobody stores the policy of a model of their own: {name} judges one.")
    request = canonical.digest({"verb": "store_policy", "name": name, "text": text})
    if earlier := idempotency.recall(actor, idempotency_key, request):
        return selectors.get_policy(earlier)
    policy = documents.parse(Policy, documents.loads(text, name="The policy"))
    if refusals := policy.refusals():
        raise InvalidInput(f"The policy asks for what nothing can meet: {'; '.join(refusals)}.")
    document = policy.model_dump(mode="json")
    digest = canonical.digest(document)
    with transaction.get_connection().cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    newest = PromotionPolicy.objects.filter(name=name).order_by("-number").first()
    if newest is not None and newest.digest == digest and newest.stored_by_id in {None, actor.pk}:
        raise Conflict(f"The policy {newest} says the same.")
    stored = PromotionPolicy.objects.create(
        name=name, number=newest.number + 1 if newest else 1, text=text, document=document,
        digest=digest, stored_by=actor, reason=reason,
    )  # fmt: skip
    idempotency.remember(actor, idempotency_key, request, stored.public_id)
    audit.record(
        "registry.policy.stored", stored, actor=actor, at=at, reason=reason,
        before={"digest": newest.digest if newest else None},
        after={"name": name, "number": stored.number, "digest": digest},
    )  # fmt: skip
    return stored


@transaction.atomic(durable=True)
def assign_policy(
    *, model_name: str, policy: str, actor: User, at: datetime, reason: str
) -> RegisteredModel:
    """Let another policy judge a model from now on.

    Raises
    ------
    Forbidden, NotFound, InvalidInput
        Neither validator nor admin, or it is their own (403), no such model or policy (404), no
        reason (422).

    Notes
    -----
    Who assigns a policy answers for it as who stored it does: they approve nothing of the model
    under it. Another may assign the same policy again, and answers for it from then on.
    """
    _require_judge(actor)
    if not reason.strip():
        raise InvalidInput("To assign a policy needs a reason.")
    model = lock_model(model_name)
    authors = selectors.authors_of_each(model.versions.values_list("pk", flat=True))
    if actor.pk in {model.owner_id}.union(*authors.values()):
        raise Forbidden("Nobody chooses the policy of a model of their own.")
    stored = selectors.policy_in_force(policy)
    before = model.policy_assigned_by.get_username() if model.policy_assigned_by else None
    RegisteredModel.objects.filter(pk=model.pk).update(
        policy=policy, policy_assigned_by=actor, policy_assigned_at=at, updated_at=at
    )
    audit.record(
        "registry.policy.assigned", model, actor=actor, at=at, reason=reason,
        before={"policy": model.policy, "assigned_by": before},
        after={"policy": policy, "digest": stored.digest, "assigned_by": actor.get_username()},
    )  # fmt: skip
    return selectors.get_model(model_name)


def _judges_own(policy: str, actor: User) -> bool:
    """Say whether a policy judges models of somebody, or copies of what they registered.

    A look at what there is already, before anything is stored. What else somebody had a hand in,
    or registers later, is told by a gate when it is judged.
    """
    registered = ModelVersion.objects.filter(created_by=actor)
    own = Q(owner=actor) | Q(versions__digest__in=registered.values("digest"))
    return RegisteredModel.objects.filter(own, policy=policy).exists()


def _require_judge(actor: User) -> None:
    roles.require(actor, "models:approve")
    if not {roles.Role.VALIDATOR, roles.Role.ADMIN} & roles.roles_of(actor):
        raise Forbidden("Validators and admins set policies.")
