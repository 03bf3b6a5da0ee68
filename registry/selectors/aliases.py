"""What the doctor says of aliases: those that mean production and stand for something else."""

from collections.abc import Iterator

from django.conf import settings
from django.db.models.functions import Lower

from crowetrade_site.core import doctor
from registry.lifecycle import Stage
from registry.models import ModelAlias

MOST_NAMED = 5


def aliases_of_production() -> Iterator[doctor.Diagnosis]:
    """Check that what loads by a word of production gets a version that was promoted there.

    No service sets such an alias otherwise: it was free when it was set, and its word came into
    ``CROWETRADE_PRODUCTION_ALIASES`` later.
    """
    words = ModelAlias.objects.annotate(word=Lower("alias"))
    astray = words.filter(word__in=settings.PRODUCTION_ALIASES).exclude(
        version__stage=Stage.PRODUCTION
    )
    rows = astray.select_related("registered_model", "version__registered_model")
    found = list(rows.order_by("registered_model__name", "alias")[:MOST_NAMED])
    told = [f"{one.registered_model}@{one.alias} is {_where(one)}" for one in found]
    more = astray.count() - len(found)
    told += [f"and {more:,} more"] if more else []
    yield doctor.judge(
        "aliases of production", "; ".join(told) or "all stand for versions in production",
        good=not found, mild=True,
        cure="promote the version; or have an operator set the alias for the version in "
        "production, or remove it: bots that load by it get what nobody promoted",
    )  # fmt: skip


def _where(alias: ModelAlias) -> str:
    return f"v{alias.version.number} in {alias.version.stage}"
