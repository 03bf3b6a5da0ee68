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


class TestTranslating:
    def test_keeps_the_sentence_and_the_cause(self):
        with (
            pytest.raises(InvalidInput, match="bars are empty") as caught,
            translating(EngineTrouble, InvalidInput),
        ):
            raise EngineTrouble("bars are empty")

        assert isinstance(caught.value.__cause__, EngineTrouble)

    def test_takes_several_sources(self):
        with pytest.raises(InvalidInput), translating((KeyError, EngineTrouble), InvalidInput):
            raise EngineTrouble("x")

    def test_leaves_other_errors_alone(self):
        with pytest.raises(ZeroDivisionError), translating(EngineTrouble, InvalidInput):
            _ = 1 / 0

    def test_leaves_success_alone(self):
        with translating(EngineTrouble, InvalidInput):
            pass
