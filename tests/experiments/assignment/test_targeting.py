import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.assignment.errors import TargetingError
from experiments.assignment.targeting import (
    MOST_CONDITIONS,
    MOST_DEPTH,
    MOST_VALUES,
    read_targeting,
)

names = st.sampled_from(["desk", "age", "vip"])
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.booleans() | numbers | st.text(max_size=5)
tests = st.one_of(
    st.fixed_dictionaries({"attribute": names, "equals": values}),
    st.fixed_dictionaries({"attribute": names, "in": st.lists(values, min_size=1, max_size=4)}),
    st.fixed_dictionaries({"attribute": names, "at_least": numbers}),
    st.fixed_dictionaries({"attribute": names, "at_most": numbers}),
    st.fixed_dictionaries({"attribute": names, "present": st.just(True)}),
)
conditions = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=8,
).filter(lambda document: json.dumps(document).count("{") < 9)  # never deeper than allowed
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["all", "any", "not", "in", "attribute", "x"]), inner)
    ),
    max_leaves=10,
)


class TestReadTargeting:
    @pytest.mark.parametrize(
        ("document", "attributes", "expected"),
        [
            ({"attribute": "desk", "equals": "fx"}, {"desk": "fx"}, True),
            ({"attribute": "desk", "equals": "fx"}, {"desk": "FX"}, False),
            ({"attribute": "desk", "equals": "fx"}, {}, False),
            ({"attribute": "vip", "equals": True}, {"vip": 1}, False),
            ({"attribute": "age", "equals": 1}, {"age": True}, False),
            ({"attribute": "age", "equals": 1}, {"age": 1.0}, True),
            ({"attribute": "age", "equals": 1}, {"age": "1"}, False),
            ({"attribute": "desk", "in": ["fx", 3]}, {"desk": 3}, True),
            ({"attribute": "desk", "in": ["fx", 3]}, {"desk": ["fx"]}, False),
            ({"attribute": "age", "at_least": 18}, {"age": 18}, True),
            ({"attribute": "age", "at_least": 18}, {"age": 17.9}, False),
            ({"attribute": "age", "at_least": 18}, {"age": 10**400}, True),
            ({"attribute": "age", "at_most": 18}, {"age": float("nan")}, False),
            ({"attribute": "age", "at_most": 18}, {"age": "17"}, False),
            ({"attribute": "age", "at_least": 0}, {"age": True}, False),
            ({"attribute": "age", "at_least": 18, "at_most": 20}, {"age": 20}, True),
            ({"attribute": "age", "at_least": 18, "at_most": 20}, {"age": 21}, False),
            ({"attribute": "age", "at_least": 0.5}, {"age": np.float64(0.7)}, True),
            ({"attribute": "vip", "present": True}, {"vip": False}, True),
            ({"attribute": "vip", "present": True}, {"vip": None}, False),
            ({"not": {"attribute": "desk", "equals": "fx"}}, {}, True),
            ({"all": [{"attribute": "a", "equals": 1}, {"attribute": "b", "equals": 2}]},
             {"a": 1, "b": 2}, True),
            ({"all": [{"attribute": "a", "equals": 1}, {"attribute": "b", "equals": 2}]},
             {"a": 1}, False),
            ({"any": [{"attribute": "a", "equals": 1}, {"attribute": "b", "equals": 2}]},
             {"a": 1}, True),
            ({"any": [{"attribute": "a", "equals": 1}, {"attribute": "b", "equals": 2}]},
             {"a": 2}, False),
        ],
    )  # fmt: skip
    def test_means_what_it_says(self, document, attributes, expected):
        assert read_targeting(document).matches(attributes) is expected

    @pytest.mark.parametrize(
        ("document", "told"),
        [
            (None, "targeting: a condition is an object, not null"),
            ([], "targeting: a condition is an object, not list"),
            ({}, "targeting.attribute: the name"),
            ({"all": []}, "targeting.all: a list of at least one"),
            ({"all": {"attribute": "a", "equals": 1}}, "targeting.all: a list"),
            ({"any": [{"atribute": "a"}]}, "targeting.any[0].atribute: unknown key; did you"),
            ({"not": {"all": [{"attribute": "a", "equal": 1}]}},
             "targeting.not.all[0].equal: unknown key; did you mean 'equals'?"),
            ({"zzz": 1}, "targeting.zzz: unknown key; known are all, any, not, attribute"),
            ({3: 1}, "targeting.3: unknown key"),
            ({"all": [{"attribute": "a", "equals": 1}], "attribute": "b"},
             "targeting: all stands alone, not beside attribute"),
            ({"attribute": "a"}, "targeting: one of equals, in, at_least, at_most, present is"),
            ({"attribute": "a", "equals": 1, "in": [1]}, "is needed, not equals, in"),
            ({"attribute": 7, "equals": 1}, "targeting.attribute: the name"),
            ({"attribute": "", "equals": 1}, "targeting.attribute: the name"),
            ({"attribute": "a" * 257, "equals": 1}, "targeting.attribute: the name"),
            ({"attribute": "a", "equals": None}, "targeting.equals: a text, a boolean or a finite"),
            ({"attribute": "a", "equals": float("nan")}, "not nan"),
            ({"attribute": "a", "equals": 10**5000}, "not a larger one"),
            ({"attribute": "a", "equals": "x" * 257}, "at most 256 characters"),
            ({"attribute": "a", "in": []}, "targeting.in: a list of at least one"),
            ({"attribute": "a", "in": "fx"}, "targeting.in: a list"),
            ({"attribute": "a", "in": [1, {}]}, "targeting.in[1]: a text"),
            ({"attribute": "a", "at_least": "3"}, "targeting.at_least: a number is needed, not"),
            ({"attribute": "a", "at_most": True}, "targeting.at_most: a number is needed, not"),
            ({"attribute": "a", "at_least": 3, "at_most": 2}, "nothing matches"),
            ({"attribute": "a", "present": False}, "targeting.present: only true"),
        ],
    )  # fmt: skip
    def test_names_the_path_of_a_fault(self, document, told):
        with pytest.raises(TargetingError) as refusal:
            read_targeting(document)

        assert told in str(refusal.value)

    def test_bounds_its_depth(self):
        document = {"attribute": "a", "equals": 1}
        for _ in range(MOST_DEPTH - 1):
            document = {"not": document}
        read_targeting(document)

        with pytest.raises(TargetingError, match="more than 10 deep"):
            read_targeting({"not": document})

    def test_refuses_a_very_deep_one_without_running_out_of_stack(self):
        document = {"attribute": "a", "equals": 1}
        for _ in range(50_000):
            document = {"all": [document]}

        with pytest.raises(TargetingError, match="deep"):
            read_targeting(document)
        while "all" in document:  # taken apart by hand: deleting it whole would recurse
            document = document["all"][0]

    def test_bounds_its_size(self):
        test = {"attribute": "a", "equals": 1}

        with pytest.raises(TargetingError, match="more than 500 conditions"):
            read_targeting({"any": [test] * MOST_CONDITIONS})
        with pytest.raises(TargetingError, match="more than 5,000 values"):
            read_targeting({"attribute": "a", "in": list(range(MOST_VALUES + 1))})

    @given(conditions)
    def test_survives_json(self, document):
        condition = read_targeting(document)

        again = read_targeting(json.loads(json.dumps(condition.document())))

        assert condition.document() == document
        assert again == condition

    @given(anything)
    def test_refuses_or_reads_whatever_comes(self, document):
        try:
            condition = read_targeting(document)
        except TargetingError:
            return

        assert condition.matches({}) in {True, False}

    @given(conditions, st.dictionaries(names | st.text(max_size=3), anything, max_size=4))
    def test_matches_without_raising(self, document, attributes):
        assert read_targeting(document).matches(attributes) in {True, False}

    @given(conditions, conditions, st.dictionaries(names, values))
    def test_obeys_de_morgan(self, one, other, attributes):
        left = read_targeting({"not": {"all": [one, other]}})
        right = read_targeting({"any": [{"not": one}, {"not": other}]})

        assert left.matches(attributes) is right.matches(attributes)
