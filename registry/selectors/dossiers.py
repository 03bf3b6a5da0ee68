"""What gates read of versions, of many by as many queries as of one."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain
from typing import Any

from django.contrib.auth.models import User
from django.db.models import (
    Case,
    CharField,
    Count,
    F,
    FloatField,
    Func,
    Max,
    Min,
    Q,
    QuerySet,
    Value,
    When,
    Window,
)
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, RowNumber
from django.db.models.lookups import Exact

from registry.lifecycle import EvidenceStatus
from registry.models import Evidence, ModelVersion, PromotionPolicy, Waiver
from registry.rules import gates, policies
from registry.rules.weighing import FINDINGS
from registry.selectors.authors import Origins, authors_of_each, made_from_each
from registry.selectors.records import no_policy, policies_in_force
from registry.selectors.trust import trusted_types_of_each

MOST_EARLIER = 100  # superseded pieces of a kind whose figures a report tells one by one


@dataclass(frozen=True)
class Dossiers:
    """What there is about some versions: each kind of thing is read once, when it is asked for.

    Attributes
    ----------
    versions : sequence of ModelVersion
        With their models.
    at : datetime
        The moment at which they are judged.
    """

    versions: Sequence[ModelVersion]
    at: datetime

    def policy_of(self, version: ModelVersion) -> PromotionPolicy:
        """Return the policy in force that judges a version.

        Raises
        ------
        NotFound
            Its model names one that there is not (404).
        """
        name = version.registered_model.policy
        found = self._policies.get(name)
        if found is None:
            raise no_policy(name)
        return found

    @cached_property
    def _policies(self) -> dict[str, PromotionPolicy]:
        return policies_in_force({one.registered_model.policy for one in self.versions})

    @cached_property
    def authors(self) -> dict[int, set[int]]:
        """Who had a hand in the bytes of each, by its key."""
        return authors_of_each([one.pk for one in self.versions])

    @cached_property
    def assigners(self) -> dict[int, User]:
        """Who assigned the policies of their models, by key."""
        keys = {one.registered_model.policy_assigned_by_id for one in self.versions}
        return User.objects.in_bulk(keys - {None})

    @cached_property
    def made_from(self) -> dict[int, Origins]:
        """What data the bytes of each are said to be made from, by its key."""
        return made_from_each(self.versions)

    @cached_property
    def told(self) -> Mapping[int, list[Evidence]]:
        """What is valid of each, and of each kind the newest of what it has superseded."""
        place = Window(RowNumber(), partition_by=["version", "kind", "status"], order_by="-id")
        newest = Q(status=EvidenceStatus.SUPERSEDED, is_measured=True, place__lte=MOST_EARLIER)
        rows = self._evidence.annotate(place=place)
        rows = rows.filter(Q(status=EvidenceStatus.VALID) | newest).order_by("id")
        return _by((row.version_id, row) for row in rows)

    @cached_property
    def strategies(self) -> Mapping[int, frozenset[str]]:
        """By what runs of each traded, by the version's key: digests of the strategy as read."""
        found = {
            key: {row.digests.get("strategy", "") for row in rows if row.is_measured}
            for key, rows in self.told.items()
        }
        return {key: frozenset(digests - {""}) for key, digests in found.items()}

    def repeats_of(self, version: ModelVersion) -> list[Evidence]:
        """Return reproductions and checks of all versions of the same bytes or strategy.

        The valid ones, and of each run by each code the newest of every finding that was
        superseded, so that their number is that of runs; which are failures the rules know.
        """
        alike = (self._of_strategies.get(one, ()) for one in self.strategies.get(version.pk, ()))
        rows = [*self._of_bytes.get(version.digest, ()), *chain.from_iterable(alike)]
        return list({row.pk: row for row in rows}.values())

    @cached_property
    def _of_bytes(self) -> Mapping[str, list[Evidence]]:
        digests = {one.digest for one in self.versions}
        rows = _newest_repeats(of=F("version__digest"))
        return _by((row.of, row) for row in rows.filter(version__digest__in=digests))

    @cached_property
    def _of_strategies(self) -> Mapping[str, list[Evidence]]:
        digests = frozenset[str]().union(*self.strategies.values())
        if not digests:
            return {}
        rows = _newest_repeats(of=KeyTextTransform("strategy", "digests"))
        return _by((row.of, row) for row in rows.filter(of__in=sorted(digests)))

    @cached_property
    def older(self) -> Mapping[int, dict[str, gates.Older]]:
        """What is too much to be told piece by piece: how many, and the extremes of figures."""
        behind, names = Q(pk__in=[]), set[str]()
        for version in self.versions:
            for kind, asked in self._figures_asked(version).items():
                keys = [
                    row.pk for row in self.told.get(version.pk, ())
                    if row.kind == kind and row.status == EvidenceStatus.SUPERSEDED
                ]  # fmt: skip
                if len(keys) >= MOST_EARLIER:
                    behind |= Q(version=version.pk, kind=kind, pk__lt=min(keys))
                    names |= asked
        if not names:
            return {}
        superseded = self._evidence.filter(
            behind, status=EvidenceStatus.SUPERSEDED, is_measured=True
        )
        found: dict[int, dict[str, gates.Older]] = defaultdict(dict)
        for version_id, kind, older in _extremes(superseded, sorted(names)):
            found[version_id][kind] = older
        return found

    def _figures_asked(self, version: ModelVersion) -> dict[str, set[str]]:
        """Return the figures that gates of any stage bound, by kind of evidence."""
        found: dict[str, set[str]] = defaultdict(set)
        stored = self._policies.get(version.registered_model.policy)
        if stored is None:  # it is not judged, the others are
            return found
        policy = policies.Policy.model_validate(stored.document)
        for stage in (policy.testing, policy.staging, policy.production):
            for gate in stage.gates:
                if names := {*gate.minimum, *gate.maximum}:
                    found[gate.kind] |= names
        return found

    @cached_property
    def waived(self) -> dict[int, datetime]:
        """Until when the last waiver of each lasts, of those that have one."""
        granted = Waiver.objects.filter(
            version__in=[one.pk for one in self.versions], granted_at__lte=self.at, revoked_at=None
        )
        ends = granted.values("version").annotate(until=Max("expires_at"))
        return dict(ends.values_list("version", "until"))

    def trusted_types_of(self, desk: str) -> frozenset[str]:
        """Return all types that files of the desk of one of the versions may name now."""
        return self._trusted[desk]

    @cached_property
    def _trusted(self) -> Mapping[str, frozenset[str]]:
        return trusted_types_of_each({one.registered_model.desk for one in self.versions})

    @property
    def _evidence(self) -> QuerySet[Evidence]:
        return Evidence.objects.filter(version__in=[one.pk for one in self.versions])


def _by(pairs: Iterable[tuple[Any, Evidence]]) -> dict[Any, list[Evidence]]:
    found: dict[Any, list[Evidence]] = defaultdict(list)
    for key, row in pairs:
        found[key].append(row)
    return found


def _newest_repeats(of: Any) -> QuerySet[Any]:
    """Return the valid reproductions and checks, and of others the newest that are alike."""
    rows = Evidence.objects.filter(kind__in=sorted(policies.OF_A_RUN), is_measured=True)
    alike: list[Any] = ["of", "kind", "status", KeyTextTransform("code", "digests")]
    alike += [KeyTextTransform(name, "figures") for name in FINDINGS]
    place = Window(RowNumber(), partition_by=alike, order_by="-id")
    newest = Q(status=EvidenceStatus.VALID) | Q(place=1)
    return rows.annotate(of=of, place=place).filter(newest)


def _extremes(
    rows: QuerySet[Evidence], names: Sequence[str]
) -> Iterable[tuple[int, str, gates.Older]]:
    """Count evidence by version and kind, and take the least and the most of its figures."""
    terms: dict[str, Any] = {"n": Count("pk")}
    for i, name in enumerate(names):
        terms |= {f"least_{i}": Min(_figure(name)), f"most_{i}": Max(_figure(name))}
    for found in rows.values("version", "kind").annotate(**terms):
        row: dict[str, Any] = {**found}
        extremes = {
            name: (row[f"least_{i}"], row[f"most_{i}"])
            for i, name in enumerate(names)
            if row[f"least_{i}"] is not None
        }
        yield row["version"], row["kind"], gates.Older(row["n"], extremes)


def _figure(name: str) -> Case:
    """Return a figure of evidence where it is a number, and NULL where it is anything else."""
    number = Cast(KeyTextTransform(name, "figures"), FloatField())
    kind = Func(KeyTransform(name, "figures"), function="jsonb_typeof", output_field=CharField())
    return Case(When(Exact(kind, Value("number")), then=number), output_field=FloatField())
