"""What several verbs ask of whoever calls them."""

from django.conf import settings
from django.contrib.auth.models import User

from backtests.lifecycle import Priority
from backtests.models import Run
from crowetrade_site.core import roles
from crowetrade_site.core.errors import Forbidden, TooMuch

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


def require_room(actor: User) -> None:
    """Refuse to queue more for somebody who has as much in the queue as one may have.

    Requests of one user wait for each other here, so that two at once do not both find room.
    """
    User.objects.select_for_update(no_key=True).get(pk=actor.pk)
    most = settings.RUN_MAX_ACTIVE_PER_USER
    if Run.objects.active().filter(requested_by=actor).count() >= most:
        raise TooMuch(
            f"You have {most} runs queued or running, as many as one may have; wait for one to "
            "end, or cancel one."
        )
