import pickle

from crowetrade_site.embedded.errors import EmbeddedError


class TestEmbeddedError:
    def test_is_one_line_with_the_problem_and_the_cure(self):
        error = EmbeddedError("It broke:\n  no space\n", cure="Make\nspace.")

        assert str(error) == "It broke: | no space Make | space."
        assert error.cure == "Make | space."

    def test_travels_between_processes(self):
        error = pickle.loads(pickle.dumps(EmbeddedError("a", cure="b")))  # noqa: S301  our own bytes

        assert (error.problem, error.cure) == ("a", "b")
