"""What several verbs ask of whoever calls them."""

from django.contrib.auth.models import User

from backtests.lifecycle import Priority
from backtests.models import Run
from crowetrade_site.core import roles
from crowetrade_site.core.errors import Forbidden

# Whose right to runs goes beyond their own; an auditor only looks.
IN_CHARGE = {roles.Role.VALIDATOR, roles.Role.OPERATOR, roles.Role.ADMIN}


def require_own(run: Run, actor: User, verb: str = "cancel") -> None:
    """Let a researcher stop their own runs only; operators, validators and admins any."""
    if run.requested_by_id != actor.pk and not roles.roles_of(actor) & IN_CHARGE:
        raise Forbidden(f"A researcher may only {verb} their own runs; ask an operator.")


def require_priority(actor: User, priority: Priority) -> None:
    """Leave it to operators and admins to put anything before the work of others."""
    if priority == Priority.HIGH:
        roles.require(actor, "runs:operate")
