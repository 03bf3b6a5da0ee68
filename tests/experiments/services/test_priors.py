"""Priors at the start: resolved once, pinned, audited, refused where there is too little."""

import json

import pytest

from crowetrade_site.core import canonical
from crowetrade_site.core.errors import Conflict, InvalidInput
from crowetrade_site.core.models import AuditEvent
from experiments import selectors, services
from experiments.jobs.analyses import analyze_experiment
from experiments.lifecycle import ExperimentStatus
from experiments.plans import Verdict
from tests.factories.accounts import account
from tests.factories.experiments import AT, add_sums, draft, later, plan, returns, running

pytestmark = pytest.mark.django_db(transaction=True)
PRIOR = {"horizon_periods": 100, "prior": {"from": "concluded"}}


@pytest.fixture
def owner():
    return account()


def concluded(owner, lift, seed, n_arms=2, **changes):
    """Return an experiment that is over, with its analysis."""
    arms = [{"name": f"a{at}", "control": at == 0} for at in range(n_arms)]
    made = running(owner, arms=arms, **changes)
    add_sums(made, returns(120, lift=lift, seed=seed, n_arms=n_arms))
    analyze_experiment(experiment_id=made.public_id)
    made.refresh_from_db()
    if made.status != ExperimentStatus.CONCLUDED:
        services.conclude_experiment(
            experiment_id=made.public_id, verdict=Verdict.INCONCLUSIVE, actor=owner,
            at=later(days=120), reason="over",
        )  # fmt: skip
    return made


def history(owner, n=5, **changes):
    return [concluded(owner, 0.001 * (at - 2), at, **changes) for at in range(n)]


def start(made, owner):
    return services.start_experiment(experiment_id=made.public_id, actor=owner, at=later(days=200))


class TestStartExperiment:
    def test_pins_what_is_concluded_by_then(self, owner):
        past = history(owner, tags=["momentum"])
        concluded(owner, 0.01, 9)  # of other tags
        asked = {"horizon_periods": 100, "prior": {"from": "concluded", "tags": ["momentum"]}}

        made = start(draft(owner, analysis=asked), owner)

        (pinned,) = made.plan["analysis"]["prior"]["pinned"]
        assert [one["name"] for one in pinned["effects"]] == [one.name for one in past]
        assert pinned["n_experiments"] == 5
        assert pinned["digest"] == canonical.digest(pinned["effects"])
        assert canonical.digest(made.plan) == made.plan_digest
        event = AuditEvent.objects.get(
            object_id=str(made.public_id), verb="experiments.experiment.started"
        )
        (told,) = json.loads(event.canonical)["after"]["priors"]
        assert (told["digest"], told["n_experiments"]) == (pinned["digest"], 5)
        concluded(owner, 0.02, 10, tags=["momentum"])
        made.refresh_from_db()
        assert len(made.plan["analysis"]["prior"]["pinned"][0]["effects"]) == 5

    def test_is_said_and_read_by_the_bayesian_figures_alone(self, owner):
        history(owner)
        values = returns(60, lift=0.0004, seed=30)
        made, plain = start(draft(owner, analysis=PRIOR), owner), draft(owner)
        plain = start(plain, owner)
        found = []
        for one in (made, plain):
            add_sums(one, values)
            analyze_experiment(experiment_id=one.public_id)
            look = selectors.list_analyses(one).first()
            found.append(look.findings["metrics"][0]["comparisons"][0])

        with_prior, flat = found
        assert with_prior["lower"] == flat["lower"] is not None
        assert with_prior["posterior_deviation"] < flat["posterior_deviation"]
        (note,) = selectors.plan_notes(made, selectors.plan_of(made))
        assert "a prior from 5 concluded experiments (5 differences)" in note
        assert note in selectors.get_board(made).notes
        assert note in selectors.render_report(made).replace("&#x27;", "'")

    def test_counts_experiments_and_not_challengers(self, owner):
        history(owner, 2, n_arms=4)
        made = draft(owner, analysis=PRIOR)

        with pytest.raises(Conflict, match=r"takes 5 concluded experiments .* there are 2"):
            start(made, owner)

        made.refresh_from_db()
        assert made.status == ExperimentStatus.DRAFT

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            (
                {"metrics": [{"name": "return", "role": "primary", "unit": "bps"}]},
                "its unit is bps",
            ),
            (None, "no such concluded experiment"),
        ],
    )
    def test_refuses_one_by_name_that_is_not_alike(self, owner, changes, why):
        past = running(owner) if changes is None else concluded(owner, 0.0, 1, **changes)
        prior = {"from": "concluded", "experiments": [past.name]}

        with pytest.raises(Conflict, match=why):
            start(draft(owner, analysis={"horizon_periods": 100, "prior": prior}), owner)

    def test_takes_them_by_id(self, owner):
        past = history(owner)
        prior = {"from": "concluded", "experiments": [str(one.public_id) for one in past]}

        made = start(draft(owner, analysis={"horizon_periods": 100, "prior": prior}), owner)

        assert made.plan["analysis"]["prior"]["pinned"][0]["n_experiments"] == 5

    def test_takes_no_prior_that_somebody_wrote(self, owner):
        history(owner)
        made = start(draft(owner, analysis=PRIOR), owner)
        written = plan(analysis=made.plan["analysis"])

        with pytest.raises(InvalidInput, match=r"analysis.prior.pinned: written at the start"):
            services.create_experiment(document=written, actor=owner, at=AT)


class TestListPastEffects:
    def test_leaves_out_arms_that_are_the_files_of_the_control(self, owner):
        """Five A/A tests made a prior that no challenger differs."""
        past = history(owner)
        past[0].arms.update(version_digest="d" * 64)
        asked = selectors.plan_of(draft(owner, analysis=PRIOR))

        found = selectors.list_past_effects(asked, asked.primary, asked.analysis.prior)

        assert [one.name for one in found] == [one.name for one in past[1:]]
        named = asked.analysis.prior.model_copy(update={"experiments": [past[0].name]})
        with pytest.raises(Conflict, match=r"its arms are the same files, which is an A/A test"):
            selectors.list_past_effects(asked, asked.primary, named)

    def test_takes_three_queries_however_many_there_are(self, owner, django_assert_num_queries):
        history(owner)
        asked = selectors.plan_of(draft(owner, analysis=PRIOR))

        with django_assert_num_queries(3):
            found = selectors.list_past_effects(asked, asked.primary, asked.analysis.prior)

        assert len(found) == 5
