"""Whatever the document: a search that keeps its word, or a refusal in one line."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from backtests.search import KINDS, SearchError, parse, plan

PATHS = ("a", "b.0", "b.1.x", "c", "d")
scalars = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, 1.0, 10**400, -0.0])
    | st.sampled_from(["x", "y", ""])
)  # fmt: skip
json_values = st.recursive(
    scalars | st.floats(), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["low", "high", "step", "log", "when", "values"]), inner),
    max_leaves=8,
)  # fmt: skip
sections = st.dictionaries(st.sampled_from(["kind", "y"]), scalars, max_size=2)
conditions = st.dictionaries(
    st.sampled_from([*PATHS, "a.kind"]), scalars | st.lists(scalars, max_size=3), max_size=1
)
numbers = st.integers(-3, 30) | st.floats(-2, 30)
dimensions = st.one_of(
    st.lists(scalars | sections, min_size=1, max_size=5),
    st.fixed_dictionaries(
        {"values": st.lists(scalars | sections, min_size=1, max_size=4)},
        optional={"when": conditions},
    ),
    st.fixed_dictionaries(
        {"low": numbers, "high": numbers},
        optional={"step": st.sampled_from([1, 2, 0.5]), "log": st.booleans(), "when": conditions},
    ),
)  # fmt: skip
constraints = st.sampled_from(["a < d", "x > 2 or c != 1", "c / a < 2", "sharpe > 0", "d >= 0"])
documents = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(sorted(KINDS)),
        "over": st.dictionaries(st.sampled_from(PATHS), dimensions, min_size=1, max_size=4),
    },
    optional={
        "constraints": st.lists(constraints, max_size=2),
        "objective": st.sampled_from(["sharpe", ["sharpe", {"minimize": "turnover"}]]),
        "seed": st.integers(0, 2**63 - 1),
    },
)


def is_one_line(refusal):
    return "\n" not in str(refusal)


def planned(document):
    more = {} if document["kind"] == "grid" else {"n_trials": 12}
    if document["kind"] in {"tpe", "cma_es", "nsga2", "genetic"}:
        more["generation"] = 4
    if document["kind"] == "tpe":
        more["startup"] = 4
    try:
        return plan(document | more, metrics=["sharpe", "turnover"])
    except SearchError as error:
        refusal = error
    assert is_one_line(refusal)
    return None


def play_two_generations(search):
    """Return the trials of two generations; some of them fail."""
    asked = []
    for _ in range(2):
        trials = search.ask() if not search.is_indexed else search.ask(4)
        asked += trials
        search.tell(
            search.judge(t, {"sharpe": None if t.number % 3 == 1 else t.number, "turnover": 1.0})
            for t in trials
        )
    return asked


class TestAnyDocument:
    @given(kind=st.sampled_from(sorted(KINDS)), over=json_values, more=json_values)
    def test_is_read_or_refused_in_one_line(self, kind, over, more):
        document = {"kind": kind, "over": over} | (more if isinstance(more, dict) else {})

        refusal = None
        try:
            parse(document)
        except SearchError as error:
            refusal = error

        assert is_one_line(refusal)

    @pytest.mark.slow
    @settings(
        max_examples=150, deadline=None,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )  # fmt: skip
    @given(document=documents)
    def test_asks_what_is_in_its_space(self, document):
        search, again = planned(document), planned(document)
        assume(search is not None)

        try:
            asked = play_two_generations(search)
        except SearchError:  # no set meets the constraints
            asked = []

        assert [trial.number for trial in asked] == list(range(len(asked)))
        for trial in asked:
            assert search.space.canonical(trial.parameters) == trial.parameters
            assert search.space.broken(trial.parameters) is None
        if asked:
            assert play_two_generations(again) == asked
