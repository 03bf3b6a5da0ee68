import pytest

from crowetrade_site.core import errors
from crowetrade_site.core.errors import DomainError, InvalidInput, translating

STATUSES = {
    "Forbidden": 403,
    "NotFound": 404,
    "Conflict": 409,
    "IllegalTransition": 409,
    "StaleState": 409,
    "DuplicateRequest": 409,
    "Corrupted": 409,
    "InvalidInput": 422,
    "GateNotMet": 422,
    "Unavailable": 503,
}


class EngineTrouble(ValueError):
    pass


class TestDomainError:
    @pytest.mark.parametrize(("name", "status"), STATUSES.items())
    def test_has_a_status_a_slug_and_a_title_of_its_own(self, name, status):
        problem = getattr(errors, name)("What is wrong.").problem()

        assert problem["status"] == status
        assert problem["detail"] == "What is wrong."
        assert problem["type"].startswith("urn:crowetrade:problem:")
        assert problem["title"] != DomainError.title

    def test_has_no_slug_twice(self):
        slugs = [getattr(errors, name).slug for name in STATUSES]

        assert len(set(slugs)) == len(slugs)

    def test_carries_extensions(self):
        problem = InvalidInput("Wrong.", errors=[{"path": "a", "message": "b"}]).problem()

        assert problem["errors"] == [{"path": "a", "message": "b"}]

    def test_lets_no_extension_replace_a_member(self):
        problem = InvalidInput("Wrong.", status=200, title="Fine", type="x").problem()

        assert problem["status"] == 422
        assert problem["title"] == InvalidInput.title
        assert problem["type"].endswith("invalid-input")

    def test_reads_as_its_sentence(self):
        assert str(InvalidInput("Wrong.")) == "Wrong."


class TestInvalidInput:
    def test_tells_the_first_few_places_and_keeps_all(self):
        errors = [{"path": name, "message": "is wrong"} for name in "abcdef"]

        refusal = InvalidInput.of(errors)

        told = "a: is wrong. b: is wrong. c: is wrong. d: is wrong. (2 more)"
        assert refusal.detail == told
        assert refusal.extensions["errors"] == errors

    def test_counts_what_it_does_not_list(self):
        errors = [{"path": str(n), "message": "is wrong"} for n in range(130)]

        refusal = InvalidInput.of(errors, n_more=5)

        assert refusal.extensions == {"errors": errors[:100], "n_more_errors": 35}
        assert refusal.detail.endswith("(131 more)")

    def test_names_one_place(self):
        refusal = InvalidInput.at("units.3.unit", "a name is needed.")

        assert refusal.detail == "units.3.unit: a name is needed."
        assert refusal.extensions["errors"] == [
            {"path": "units.3.unit", "message": "a name is needed."}
        ]


class TestTranslating:
    def test_keeps_the_sentence_and_the_cause(self):
        with (
            pytest.raises(InvalidInput, match="bars are empty") as caught,
            translating(EngineTrouble, InvalidInput),
        ):
            raise EngineTrouble("bars are empty")

        assert isinstance(caught.value.__cause__, EngineTrouble)

    def test_names_the_place_of_what_was_given(self):
        with (
            pytest.raises(InvalidInput) as caught,
            translating(EngineTrouble, InvalidInput, path="bars"),
        ):
            raise EngineTrouble("There are none.")

        assert caught.value.detail == "There are none."
        assert caught.value.extensions["errors"] == [{"path": "bars", "message": "There are none."}]

    def test_names_the_places_that_the_error_knows_below_it(self):
        class Several(ValueError):
            faults = (("over.a", "low is above high"), ("", "unknown"))

        with (
            pytest.raises(InvalidInput) as caught,
            translating(Several, InvalidInput, path="search"),
        ):
            raise Several("over.a: low is above high. unknown.")

        assert caught.value.detail == "search.over.a: low is above high. search: unknown."
        assert [one["path"] for one in caught.value.extensions["errors"]] == [
            "search.over.a", "search",
        ]  # fmt: skip

    def test_takes_several_sources(self):
        with pytest.raises(InvalidInput), translating((KeyError, EngineTrouble), InvalidInput):
            raise EngineTrouble("x")

    def test_leaves_other_errors_alone(self):
        with pytest.raises(ZeroDivisionError), translating(EngineTrouble, InvalidInput):
            _ = 1 / 0

    def test_leaves_success_alone(self):
        with translating(EngineTrouble, InvalidInput):
            pass
