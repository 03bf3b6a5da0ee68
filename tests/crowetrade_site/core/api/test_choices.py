"""Values that are none of those a field takes, in bodies and in queries."""

import pytest
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from crowetrade_site.core import roles
from crowetrade_site.core.api.choices import UNKNOWN, listing_choices, unknown_choice

STATUSES = "none of queued, running, succeeded, failed, cancelled"


class Inner(serializers.Serializer):
    color = serializers.ChoiceField(["red", "green"])


class Outer(serializers.Serializer):
    sides = serializers.ListField(child=serializers.ChoiceField(["buy", "sell"]))
    inner = Inner(many=True)
    n = serializers.IntegerField()


class TestUnknownChoice:
    def test_lists_all_in_their_order_and_names_the_nearest(self):
        said = unknown_choice("runing", ["queued", "running", "failed"])

        assert said == "'runing' is none of queued, running, failed; did you mean 'running'?"

    def test_ends_with_a_full_stop_where_none_is_near(self):
        assert unknown_choice("xyz", ["buy", "sell"]) == "'xyz' is none of buy, sell."

    def test_keeps_the_list_and_the_value_short(self):
        said = unknown_choice("x" * 1_000_000, [f"n{number:02d}" for number in range(30)])

        assert said.endswith("n09, … (30 in all).")
        assert len(said) < 250


class TestListingChoices:
    def test_reaches_into_lists_and_nested_serializers(self):
        sent = {"sides": ["buy", "bye"], "inner": [{"color": "red"}, {"color": "grean"}], "n": "x"}
        serializer = Outer(data=sent)
        assert not serializer.is_valid()

        told = listing_choices(serializer, sent, serializer.errors)

        assert told["sides"][1] == ["'bye' is none of buy, sell; did you mean 'buy'?"]
        assert told["inner"][1]["color"] == ["'grean' is none of red, green; did you mean 'green'?"]
        assert told["n"] == ["A valid integer is required."]

    def test_leaves_a_fault_alone_that_has_no_choices(self):
        fault = ErrorDetail("No.", code=UNKNOWN)

        assert listing_choices(serializers.CharField(), "x", [fault]) == [fault]


@pytest.mark.django_db
class TestLists:
    @pytest.fixture
    def root(self, as_user, make_user):
        return as_user(user=make_user(), scopes=sorted(roles.SCOPES))

    @pytest.mark.parametrize(
        ("address", "said"),
        [
            ("runs/?status=runing", f"status: 'runing' is {STATUSES}; did you mean 'running'?"),
            ("runs/?status=running&status=fail",
             f"status: 'fail' is {STATUSES}; did you mean 'failed'?"),
            ("runs/?kind=swep", "did you mean 'sweep'?"),
            ("experiments/?design=x", "design: 'x' is none of shadow, assigned."),
            ("runs/?created_after=never", "created_after: Enter a valid date/time."),
        ],
    )  # fmt: skip
    def test_say_which_values_a_filter_takes(self, root, address, said):
        answer = root.get(f"/api/v1/{address}")

        assert answer.status_code == 422
        assert said in answer.json()["detail"]

    def test_bodies_say_which_values_a_key_takes(self, root):
        answer = root.post("/api/v1/runs/", {"spec": {}, "priority": "hihg"}, format="json")

        assert answer.status_code == 422
        assert answer.json()["errors"] == [
            {"path": "priority",
             "message": "'hihg' is none of low, normal, high; did you mean 'high'?"}
        ]  # fmt: skip
