"""Steps that several verbs share, each inside the transaction of its caller."""

from django.contrib.auth.models import User

from crowetrade_site.core import roles
from crowetrade_site.core.errors import Forbidden
from experiments.models import Experiment

RUNS_ALL = frozenset({roles.Role.ADMIN, roles.Role.OPERATOR})


def require_may_run(experiment: Experiment, actor: User) -> None:
    """Refuse whoever may not change an experiment: not its owner, no operator, no admin.

    Raises
    ------
    Forbidden
        (403)
    """
    roles.require(actor, "experiments:write")
    if experiment.owner_id != actor.pk and RUNS_ALL.isdisjoint(roles.roles_of(actor)):
        owner = experiment.owner.get_username()
        raise Forbidden(f"The experiment {experiment} belongs to {owner}.")
