"""Sums by unit made anew of the outcomes as they came."""

from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from crowetrade_site.core import audit
from experiments import selectors
from experiments.jobs.folding import wait_for_folding
from experiments.jobs.partitions import hold_partitions
from experiments.selectors import raw
from experiments.selectors.configuration import configuration_of_live, keep_batches_out
from experiments.services import unit_sums, writing
from experiments.services.steps import require_may_run

_SUMMED = """
SELECT coalesce(sum(counted), 0)::int8 FROM experiments_unitstatistic WHERE metric_id = ANY(%s)
"""


@transaction.atomic(durable=True)
def rebuild_unit_sums(*, experiment_id: UUID, actor: User, at: datetime, reason: str = "") -> int:
    """Add up outcomes of an experiment by unit anew; return how many: quantiles have no sums.

    What was there is replaced: of an experiment whose first outcomes came before sums by unit were
    kept, or whose sums are not those of its outcomes. Again, it gives the same. Batches of this
    experiment wait meanwhile, those of others do not; a look sees the sums from before or after.

    Raises
    ------
    NotFound, Forbidden
        There is no such experiment (404), or it belongs to somebody else (403).
    NotRunning, NoUnitSums, OutcomesGone
        It has not started or is over, is not added up by unit, or some of its outcomes are not
        kept any more (409).
    """
    experiment = selectors.get_experiment(experiment_id)
    require_may_run(experiment, actor)
    hold_partitions()
    wait_for_folding()
    keep_batches_out(experiment.pk)
    setup = configuration_of_live(experiment_id)
    raw.require_unit_sums(setup)
    raw.avoid_nested_loops()
    raw.require_all_kept(setup)
    metric_ids = setup.metric_ids.tolist()
    n_before = _n_summed(metric_ids)
    for table in ("experiments_unittotal", "experiments_unitstatistic"):
        writing.run(f"DELETE FROM {table} WHERE metric_id = ANY(%s)", metric_ids)  # noqa: S608
    for taken, units in raw.counted_outcomes(setup):
        unit_sums.add(setup, taken, units, at)
    n_after = _n_summed(metric_ids)
    audit.record(
        "experiments.experiment.unit_sums_rebuilt", experiment, actor=actor, at=at, reason=reason,
        before={"outcomes": n_before}, after={"outcomes": n_after},
    )  # fmt: skip
    return n_after


def _n_summed(metric_ids: list[int]) -> int:
    return int(writing.rows(_SUMMED, metric_ids)[0][0])
