"""Steps that several verbs share, each inside the transaction of its caller."""

from django.contrib.auth.models import AnonymousUser, User

from crowetrade_site.core import roles
from crowetrade_site.core.errors import Forbidden
from experiments.models import Experiment

RUNS_ALL = frozenset({roles.Role.ADMIN, roles.Role.OPERATOR})


def may_run(experiment: Experiment, actor: User | AnonymousUser) -> bool:
    """Return whether somebody may change an experiment: its owner, an operator or an admin."""
    if "experiments:write" not in roles.grants(actor):
        return False
    return experiment.owner_id == actor.pk or not RUNS_ALL.isdisjoint(roles.roles_of(actor))


def require_may_run(experiment: Experiment, actor: User) -> None:
    """Refuse whoever may not change an experiment: not its owner, no operator, no admin.

    Raises
    ------
    Forbidden
        (403)
    """
    roles.require(actor, "experiments:write")
    if not may_run(experiment, actor):
        owner = experiment.owner.get_username()
        raise Forbidden(
            f"The experiment {experiment} belongs to {owner}; operators and admins may change it."
        )
