"""Files that nobody needs any more."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.contrib.auth.models import User

from backtests import jobs
from crowetrade_site.core import roles
from crowetrade_site.core.errors import InvalidInput
from registry import services as registry

if TYPE_CHECKING:
    from registry.jobs import Collected


def prune_artifacts(
    *, actor: User, at: datetime, reason: str, is_dry: bool = False
) -> "jobs.Pruned":
    """Remove the artefacts that the retention policy no longer keeps, each run with its entry.

    Not one transaction but one a run: the store cannot take back what it removed.

    Raises
    ------
    Forbidden
        The actor may not (403).
    InvalidInput
        No reason was given (422).
    Unavailable
        The store does not answer; what was removed until then is recorded (503).
    """
    roles.require(actor, "runs:operate")
    if not is_dry and not reason.strip():
        raise InvalidInput("Say why: a reason is kept with every run whose files are removed.")
    return jobs.prune_artifacts(at=at, actor=actor, reason=reason, is_dry=is_dry)


def collect_files(*, actor: User, at: datetime, reason: str, is_dry: bool = False) -> "Collected":
    """Remove files of models that nobody registered, unless a run or a dataset needs them.

    Raises
    ------
    Forbidden, InvalidInput, Unavailable
        As `registry.services.collect_files`.
    """
    return registry.collect_files(
        actor=actor, at=at, reason=reason, in_use=jobs.referred_to, is_dry=is_dry
    )
