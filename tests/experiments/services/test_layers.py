"""Layers: experiments that share one never share a unit."""

from itertools import combinations

import pytest

from crowetrade_site.core.errors import Conflict, InvalidInput
from experiments import services
from experiments.plans import Verdict
from tests.factories.accounts import account
from tests.factories.experiments import AT, draft, running

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owner():
    return account()


def taking(owner, share, layer="equities", **more):
    return running(owner, design="assigned", assignment={"layer": layer, "share": share, **more})


def overlap(one, other) -> float:
    return sum(max(0.0, min(b, d) - max(a, c)) for a, b in one.ranges for c, d in other.ranges)


class TestLayers:
    def test_are_shared_without_overlap(self, owner):
        all_three = [taking(owner, 0.3), taking(owner, 0.3), taking(owner, 0.4)]

        assert all(overlap(*pair) == 0.0 for pair in combinations(all_three, 2))

    def test_refuse_more_than_there_is(self, owner):
        taking(owner, 0.8)

        with pytest.raises(Conflict, match="no room"):
            taking(owner, 0.3)

    def test_get_back_what_is_over(self, owner):
        first = taking(owner, 0.8)
        services.conclude_experiment(
            experiment_id=first.public_id, verdict=Verdict.INCONCLUSIVE, actor=owner, at=AT,
            reason="r",
        )  # fmt: skip

        assert taking(owner, 0.8).ranges

    def test_keep_their_holdout(self, owner):
        first = taking(owner, 0.5, holdout=0.2)

        assert max(end for _, end in first.ranges) <= 0.8
        with pytest.raises(Conflict, match="no room"):
            taking(owner, 0.4)
        with pytest.raises(Conflict, match=r"holdout of 0\.2, not 0\.1"):
            taking(owner, 0.1, holdout=0.1)

    def test_of_two_names_have_nothing_to_do_with_each_other(self, owner):
        assert taking(owner, 1.0).layer != taking(owner, 1.0, layer="futures").layer


class TestTargeting:
    def test_is_checked_before_a_draft_is_kept(self, owner):
        with pytest.raises(InvalidInput):
            draft(
                owner, design="assigned",
                assignment={"targeting": {"attribute": "desk", "equal": "x"}},
            )  # fmt: skip
