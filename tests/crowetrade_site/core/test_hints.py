from crowetrade_site.core import hints


class TestNearest:
    def test_names_the_closest(self):
        assert hints.nearest("lookbak", ["skip", "lookback"]) == "; did you mean 'lookback'?"

    def test_lists_what_there_is(self):
        assert hints.nearest("qqq", ["b", "a", "a"]) == "; there are: a, b."

    def test_takes_no_name_that_is_far_for_the_closest(self):
        hint = hints.nearest("shares", ["context", "reason", "weights"])

        assert hint == "; there are: context, reason, weights."

    def test_says_that_there_is_none(self):
        assert hints.nearest("qqq", []) == "; there is none yet."

    def test_keeps_the_list_short(self):
        names = [f"n{number:02d}" for number in range(30)]

        hint = hints.nearest("qqq", names)

        assert hint.endswith("n09, … (30 in all).")

    def test_is_quick_for_a_long_name(self):
        assert "there are" in hints.nearest("x" * 1_000_000, ["name"] * 1000)
