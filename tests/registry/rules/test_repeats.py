"""Reproductions and causality checks: of which runs they count, and what one that failed stops."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.rules.gates import EvidenceFacts, History, Outcome, evaluate, standing
from registry.rules.policies import Gate
from tests.registry.rules.test_gates import DIGEST, NOW, SOUND, asking, piece


class TestReproduction:
    GATE = Gate(kind="reproduction", max_age_days=90)
    GATES = (Gate(kind="walk_forward", max_age_days=180), Gate(kind="pbo"), GATE)
    WALK = piece(kind="walk_forward", name="w", source="backtests.run:r1")
    PBO = piece(kind="pbo", name="p", source="backtests.run:r1")
    CHEAP = piece(kind="pbo", name="c", source="backtests.run:r2")

    def of(self, run, **more):
        given = {"kind": "reproduction", "figures": {"is_identical": True}, "reproduces": run}
        return piece(**given | more)

    def judged(self, *evidence, gates=GATES, below=()):
        policy = asking(production=gates, staging=below)
        return evaluate("production", policy, SOUND, evidence, NOW).results[-1]

    def test_counts_of_a_run_that_evidence_rests_on_and_says_which(self):
        result = self.judged(self.WALK, self.PBO, self.of("r1"))

        assert (result.outcome, result.evidence) == ("met", ("e1",))
        assert result.reason.endswith("; of r1, which is evidence of: pbo, walk_forward")

    @pytest.mark.parametrize("run", ["r2", ""])
    def test_of_another_run_does_not_count(self, run):
        result = self.judged(self.WALK, self.of(run))

        assert result.outcome == Outcome.NOT_MET
        assert result.reason == (
            f"what was reproduced is {run or 'not said'}, and no evidence that counts for a gate "
            "is of it; reproduce one of: r1"
        )

    def test_is_weighed_whatever_else_was_reproduced_later(self):
        later = self.of("r2", name="e2", produced_at=NOW)

        assert self.judged(self.WALK, self.of("r1"), later).evidence == ("e1",)

    def test_that_is_not_identical_does_not_count(self):
        differing = self.of("r1", figures={"is_identical": False})

        result = self.judged(self.WALK, differing)

        assert result.outcome == Outcome.NOT_MET
        assert result.reason.startswith("what was computed again is not identical")

    def test_that_failed_is_not_hidden_by_a_later_one_of_another_run(self):
        failed = self.of("r1", name="f", figures={"is_identical": False})
        cheap = self.of("r2", name="g", produced_at=NOW)

        result = self.judged(self.WALK, self.CHEAP, failed, cheap)

        assert (result.outcome, result.evidence) == ("not met", ("f",))
        assert result.reason == (
            "what was computed again is not identical; of r1, which is evidence of: walk_forward"
        )

    def test_every_one_that_failed_is_told(self):
        failed = [self.of(run, name=run, figures={"is_identical": False}) for run in ("r1", "r2")]

        result = self.judged(self.WALK, self.CHEAP, *failed)

        assert result.evidence == ("r2", "r1")
        assert "of r1, " in result.reason
        assert "of r2, " in result.reason

    def test_that_failed_is_not_hidden_by_what_was_attested(self):
        failed = self.of("r1", name="f", figures={"is_identical": False})
        attested = self.of("r1", name="a", is_measured=False, produced_at=NOW)

        assert self.judged(self.WALK, failed, attested).evidence == ("f",)

    def test_one_good_one_suffices_and_a_later_one_of_its_run_decides(self):
        before = self.of("r1", name="f", figures={"is_identical": False},
                         produced_at=NOW - timedelta(days=2))  # fmt: skip
        too_old = self.of("r2", name="o", produced_at=NOW - timedelta(days=91))

        result = self.judged(self.WALK, self.CHEAP, before, self.of("r1"), too_old)

        assert (result.outcome, result.evidence) == ("met", ("e1",))

    @pytest.mark.parametrize(
        "more",
        [
            {"is_current": False},
            {"expires_at": NOW},
            {"version_digest": "e" * 64},
            {"kind": "stress"},
            {"kind": "experiment"},
            {"kind": "data_quality"},
            {"kind": "causality", "reproduces": "r2"},
        ],
    )
    def test_does_not_rest_on_evidence_that_does_not_count(self, more):
        beside = replace(self.CHEAP, **more)

        result = self.judged(self.WALK, beside, self.of("r2"))

        assert result.outcome == Outcome.NOT_MET
        assert result.reason.endswith("; reproduce one of: r1")

    def test_rests_on_the_gates_before_where_its_stage_measures_nothing(self):
        met = self.judged(self.WALK, self.of("r1"), gates=(self.GATE,), below=self.GATES)
        alone = self.judged(self.WALK, self.of("r1"), gates=(self.GATE,))

        assert met.outcome == Outcome.MET
        assert alone.outcome == Outcome.NOT_MET

    def relying(self, *evidence, backtest=None, own=GATES, **more):
        """Judge production, whose staging rests on the backtest r0, by r1 reproduced well."""
        below = (Gate(kind="backtest", max_age_days=180),)
        given = [piece(name="b", source="backtests.run:r0") if backtest is None else backtest]
        given += [self.WALK, self.of("r1", name="good", produced_at=NOW), *evidence]
        policy = asking(production=own, staging=below)
        return evaluate("production", policy, SOUND, given, NOW, **more).results[-1]

    def test_that_failed_of_a_run_that_a_stage_below_rests_on_stops_this_one(self):
        result = self.relying(self.of("r0", name="f", figures={"is_identical": False}))

        assert (result.outcome, result.evidence) == ("not met", ("f",))
        assert result.reason == (
            "what was computed again is not identical; of r0, which is evidence of: backtest"
        )

    def test_need_not_be_of_a_run_that_stages_below_rest_on(self):
        assert self.relying().evidence == ("good",)

    def test_of_a_stage_below_does_not_suffice_for_one_that_measures(self):
        backtest = piece(name="b", source="backtests.run:r0")
        below = (Gate(kind="backtest"),)

        result = self.judged(backtest, self.WALK, self.of("r0"), below=below)

        assert result.outcome == Outcome.NOT_MET
        assert result.reason.endswith("; reproduce one of: r1")

    @pytest.mark.parametrize(
        "more",
        [
            {"produced_at": NOW - timedelta(days=181)},
            {"expires_at": NOW},
            {"is_current": False},
        ],
    )
    def test_that_failed_stops_though_what_it_is_of_counts_no_more(self, more):
        backtest = piece(name="b", source="backtests.run:r0", **more)
        failed = self.of("r0", name="f", figures={"is_identical": False})

        assert self.relying(failed, backtest=backtest).evidence == ("f",)

    @pytest.mark.parametrize(
        "more",
        [
            {"produced_at": NOW - timedelta(days=91)},
            {"expires_at": NOW},
            {"is_current": False, "figures": {"is_identical": False, "is_same_code": True}},
        ],
    )
    def test_that_failed_stays_so_whatever_its_age(self, more):
        failed = self.of("r0", **{"name": "f", "figures": {"is_identical": False}} | more)

        assert self.relying(failed).evidence == ("f",)

    @pytest.mark.parametrize(
        "more", [{"version_digest": "e" * 64}, {"version_digest": ""}, {"is_measured": False}]
    )
    def test_of_other_bytes_or_attested_fails_nothing(self, more):
        differing = self.of("r0", name="f", figures={"is_identical": False}, **more)

        assert self.relying(differing).evidence == ("good",)

    def test_of_a_run_of_other_bytes_fails_nothing(self):
        backtest = piece(name="b", source="backtests.run:r0", version_digest="e" * 64)
        failed = self.of("r0", name="f", figures={"is_identical": False})

        assert self.relying(failed, backtest=backtest).evidence == ("good",)

    def test_by_other_code_neither_fails_nor_clears(self):
        failed = self.of("r0", name="f", figures={"is_identical": False, "is_same_code": True})
        other = {"is_identical": False, "is_same_code": False}
        differing = self.of("r0", name="d", figures=other, produced_at=NOW)
        agreeing = replace(differing, figures=other | {"is_identical": True})

        assert self.relying(differing).evidence == ("good",)
        assert self.relying(failed, differing).evidence == ("f",)
        assert self.relying(failed, agreeing).evidence == ("f",)

    def test_by_other_code_hides_no_good_one(self):
        other = {"is_identical": False, "is_same_code": False}
        later = self.of("r1", name="o", figures=other, is_current=False, produced_at=NOW)

        assert self.judged(self.WALK, self.of("r1"), later).evidence == ("e1",)

    def test_that_failed_of_what_newer_evidence_superseded_is_told_and_decides_nothing(self):
        newer = piece(name="n", source="backtests.run:r9", produced_at=NOW)
        failed = self.of("r0", name="f", figures={"is_identical": False})

        result = self.relying(failed, backtest=newer)

        assert (result.outcome, result.evidence) == ("met", ("good",))
        assert result.reason.endswith("; not identical before, and deciding nothing now: r0")

    def test_that_failed_and_was_superseded_by_a_good_one_is_told(self):
        failed = self.of("r0", name="f", figures={"is_identical": False}, is_superseded=True)

        result = self.relying(self.of("r0", name="g"), history=History(repeats=[failed]))

        assert result.outcome == Outcome.MET
        assert result.reason.endswith("; not identical before, and deciding nothing now: r0")

    def test_does_not_rest_on_what_people_attest(self):
        attested = piece(kind="manual", topic="x", is_measured=False, source="user:r1")
        gates = (Gate(kind="manual", topic="x"), self.GATE)

        assert self.judged(attested, self.of("r1"), gates=gates).outcome == Outcome.NOT_MET


repeats = st.builds(
    EvidenceFacts,
    name=st.text("abc", min_size=1, max_size=3),
    kind=st.just("reproduction"),
    topic=st.just(""),
    is_measured=st.booleans(),
    figures=st.fixed_dictionaries(
        {"is_identical": st.booleans()}, optional={"is_same_code": st.booleans()}
    ),
    version_digest=st.sampled_from(["", DIGEST, "e" * 64]),
    produced_at=st.integers(-200, 0).map(lambda days: NOW + timedelta(days=days)),
    is_current=st.booleans(),
    reproduces=st.sampled_from(["r0", "r1", "r2", ""]),
)


class TestEveryReproduction:
    GATES = (Gate(kind="pbo"), Gate(kind="reproduction", max_age_days=90))
    BELOW = (Gate(kind="backtest"),)
    RUNS = [
        piece(name="B", kind="backtest", source="backtests.run:r0"),
        piece(name="P", kind="pbo", source="backtests.run:r1"),
    ]

    def judged(self, evidence):
        policy = asking(production=self.GATES, staging=self.BELOW)
        return evaluate("production", policy, SOUND, [*self.RUNS, *evidence], NOW).results[-1]

    @given(st.lists(repeats, max_size=6, unique_by=lambda one: one.name))
    def test_meets_the_gate_only_where_none_that_is_relied_on_has_failed(self, evidence):
        result = self.judged(evidence)

        if result.outcome != Outcome.MET:
            return
        (named,) = [one for one in evidence if one.name in result.evidence]
        assert (named.reproduces, named.figures["is_identical"]) == ("r1", True)
        for run in ("r0", "r1"):
            told = [
                one
                for one in evidence
                if one.reproduces == run and one.is_measured and one.version_digest == DIGEST
                and one.figures.get("is_same_code") is not False
            ]  # fmt: skip
            newest = max(told, key=lambda one: (one.produced_at, one.name), default=None)
            assert newest is None or newest.figures["is_identical"]

    @given(st.lists(repeats, max_size=6, unique_by=lambda one: one.name), st.randoms())
    def test_answers_alike_in_any_order(self, evidence, shuffler):
        shuffled = list(evidence)
        shuffler.shuffle(shuffled)

        assert self.judged(evidence) == self.judged(shuffled)


class TestCausality:
    GATE = Gate(kind="causality", minimum={"n_cuts": 8}, max_age_days=180)
    GATES = (Gate(kind="backtest"), Gate(kind="walk_forward"), GATE)
    BACKTEST = piece(name="b", source="backtests.run:r1")
    WALK = piece(name="w", kind="walk_forward", source="backtests.run:r2")
    GOOD = {"n_cuts": 9, "n_differing": 0, "n_responding": 9}

    def of(self, run, **more):
        given = {"name": "c", "kind": "causality", "figures": self.GOOD, "reproduces": run}
        return piece(**given | more)

    def judged(self, *evidence, gates=GATES, below=(), **more):
        policy = asking(staging=gates, testing=below)
        given = [self.BACKTEST, self.WALK, *evidence]
        return evaluate("staging", policy, SOUND, given, NOW, **more).results[-1]

    def test_is_met_by_a_check_of_the_backtest_that_counts(self):
        result = self.judged(self.of("r1"))

        assert (result.outcome, result.evidence) == ("met", ("c",))
        assert (
            result.reason
            == "n_cuts 9, responded at 9 of 9 cuts; of r1, which is evidence of: backtest"
        )

    def test_is_met_by_one_of_a_backtest_of_a_stage_below(self):
        gates = (Gate(kind="pbo"), self.GATE)

        assert self.judged(self.of("r1"), gates=gates).outcome == Outcome.NOT_MET
        met = self.judged(self.of("r1"), gates=gates, below=(Gate(kind="backtest"),))
        assert met.outcome == Outcome.MET

    def test_is_not_met_by_a_check_of_another_run(self):
        result = self.judged(self.of("r9"))

        assert result.outcome == Outcome.NOT_MET
        assert result.reason == (
            "what was checked is r9, and no evidence that counts for a gate is of it; check one "
            "of: r1"
        )

    def test_asks_for_a_backtest_where_none_counts(self):
        gates = (Gate(kind="walk_forward"), self.GATE)

        result = self.judged(self.of("r2"), gates=gates)

        assert result.reason.endswith("; check one of: a backtest that is evidence")

    @pytest.mark.parametrize("n_differing", [1, None, False, "0"])
    def test_that_found_anything_or_does_not_say_is_not_met(self, n_differing):
        result = self.judged(self.of("r1", figures=self.GOOD | {"n_differing": n_differing}))

        assert result.outcome == Outcome.NOT_MET
        assert result.reason.startswith("it looks ahead: what was decided before a cut changed")

    @pytest.mark.parametrize("n_responding", [0, None])
    def test_that_tested_nothing_is_not_met(self, n_responding):
        result = self.judged(self.of("r1", figures=self.GOOD | {"n_responding": n_responding}))

        assert result.outcome == Outcome.NOT_MET
        assert result.reason.startswith("the check tested nothing")

    def test_that_found_something_below_stops_a_stage_that_asks(self):
        found = self.of("r1", name="f", figures=self.GOOD | {"n_differing": 2})
        gates = (Gate(kind="pbo"), self.GATE)

        result = self.judged(found, gates=gates, below=(Gate(kind="backtest"),))

        assert (result.outcome, result.evidence) == ("not met", ("f",))

    def test_that_found_something_is_cleared_by_no_check_of_another_run(self):
        found = self.of("r1", name="f", figures=self.GOOD | {"n_differing": 2})
        other = self.of("r2", name="g", produced_at=NOW)

        assert self.judged(found, other).evidence == ("f",)

    def test_takes_no_older_one_than_it_says(self):
        old = self.of("r1", produced_at=NOW - timedelta(days=181))

        assert self.judged(old).reason.startswith("the evidence is 181 days old")

    def test_bounds_what_was_looked_at(self):
        few = self.of("r1", figures=self.GOOD | {"n_cuts": 3})

        assert self.judged(few).reason.startswith("n_cuts is 3, at least 8 is asked")

    def test_that_saw_little_is_not_met_unless_the_policy_says_so(self):
        little = self.of("r1", figures=self.GOOD | {"n_responding": 4, "responding_share": 4 / 9})
        content = Gate(kind="causality", minimum={"responding_share": 0.4})

        strict = self.judged(little)
        lenient = self.judged(little, gates=(Gate(kind="backtest"), content))

        assert strict.outcome == Outcome.NOT_MET
        assert strict.reason.startswith(
            "the check tested little: it responded at 4 of 9 cuts, at least half is asked"
        )
        assert lenient.outcome == Outcome.MET
        assert "responded at 4 of 9 cuts" in lenient.reason


checks = st.builds(
    EvidenceFacts,
    name=st.text("abc", min_size=1, max_size=3),
    kind=st.just("causality"),
    topic=st.just(""),
    is_measured=st.just(True),
    figures=st.fixed_dictionaries(
        {"n_cuts": st.just(9), "n_differing": st.integers(0, 2), "n_responding": st.just(9)}
    ),
    version_digest=st.just(DIGEST),
    produced_at=st.integers(-200, 0).map(lambda days: NOW + timedelta(days=days)),
    arrived=st.integers(0, 9),
    is_superseded=st.booleans(),
    reproduces=st.sampled_from(["r0", "r1"]),
)


class TestEveryCheck:
    @given(st.lists(checks, max_size=6, unique_by=lambda one: one.name))
    def test_meets_the_gate_only_where_none_ever_found_anything(self, evidence):
        rests = piece(name="B", kind="backtest", source="backtests.run:r1")
        policy = asking(staging=(Gate(kind="backtest"), Gate(kind="causality")))
        valid = [one for one in evidence if not one.is_superseded]
        history = History(repeats=[one for one in evidence if one.is_superseded])

        result = evaluate("staging", policy, SOUND, [rests, *valid], NOW, history=history)

        found = any(one.figures["n_differing"] for one in evidence)
        is_checked = any(one.reproduces == "r1" for one in valid)
        assert result.is_met == (is_checked and not found)


class TestLookAhead:
    """One difference is a proof, and a later check without one only the absence of one."""

    GATES = (Gate(kind="backtest"), Gate(kind="causality"))
    BACKTEST = piece(name="b", source="backtests.run:r1", code="c", figures={"fills_look_ahead": 0})

    def of(self, run, n_differing=0, **more):
        figures = {"n_cuts": 40, "n_differing": n_differing, "n_responding": 40}
        figures |= {"fills_look_ahead": 0} | more.pop("figures", {})
        given = {"name": f"{run}-{n_differing}", "kind": "causality", "reproduces": run}
        return piece(**given | {"figures": figures, "code": "c"} | more)

    def judged(self, *evidence, repeats=(), gates=GATES, rests=(BACKTEST,)):
        policy, history = asking(staging=gates), History(repeats=repeats)
        return evaluate("staging", policy, SOUND, [*rests, *evidence], NOW, history=history)

    def test_is_cleared_by_no_later_check_of_the_run(self):
        again = self.of("r1", produced_at=NOW, arrived=9)

        for found in (self.of("r1", 7), self.of("r1", 7, is_superseded=True)):
            result = self.judged(again, repeats=[found]).results[-1]

            assert (result.outcome, result.evidence) == ("not met", ("r1-7",))
            assert result.reason == (
                "it looks ahead: what was decided before a cut changed with the bars after it, at "
                "7 of 40 cuts; of r1, which is evidence of: backtest"
            )

    def test_is_evaded_by_no_run_of_the_same_files(self):
        """A capital one dollar larger is another computation, and decides by the same code."""
        other = self.of("r0", 7, computed="data:other:c", is_current=False)

        result = self.judged(self.of("r1"), repeats=[other]).results[-1]

        assert (result.outcome, result.evidence) == ("not met", ("r0-7",))
        assert result.reason.endswith(
            "; of r0, of the same files and code as r1, which is evidence of: backtest"
        )

    def test_is_evaded_by_no_policy_of_other_gates(self):
        walk = piece(name="w", kind="walk_forward", source="backtests.run:r2", code="c")

        report = self.judged(self.of("r0", 7), gates=(Gate(kind="walk_forward"),), rests=[walk])

        assert not report.is_met
        assert report.results[0].reason.endswith(
            "; of r0, of the same files and code as r2, which is evidence of: walk_forward"
        )

    def test_of_the_code_in_force_stops_where_nothing_is_relied_on(self):
        report = self.judged(self.of("r0", 7), gates=(), rests=[])

        (failure,) = report.failures
        assert failure.startswith("gate causality: it looks ahead: ")
        assert failure.endswith("; of r0, of the same files by the code in force")

    def test_of_other_code_is_told_and_approved_with_the_rest(self):
        other = self.of("r0", 7, code="old", is_current=False)

        report = self.judged(self.of("r1"), repeats=[other])

        assert report.is_met
        assert report.results[-1].told == ("r0-7",)
        assert "r0-7" in report.evidence
        assert report.results[-1].reason.endswith(
            "; looking ahead before, and deciding nothing now: r0"
        )

    def test_by_other_code_is_one_of_the_run_that_it_came_to(self):
        found = self.of("r1", 7, code="new", is_current=False, figures={"is_same_code": False})

        assert not self.judged(found).is_met

    @pytest.mark.parametrize(("fills", "is_met"), [(0, True), (1, False)])
    def test_of_fills_alone_is_of_runs_that_are_filled_alike(self, fills, is_met):
        rests = [replace(self.BACKTEST, figures={"fills_look_ahead": fills})]
        found = self.of("r0", 7, figures={"fills_look_ahead": 1, "n_decided_ahead": 0})

        report = self.judged(self.of("r1"), repeats=[found], rests=rests)

        assert report.is_met is is_met
        assert is_met or "filled at the close that decided them" in report.failures[0]

    def test_of_decisions_is_of_the_files_however_they_are_filled(self):
        found = self.of("r0", 7, figures={"fills_look_ahead": 1, "n_decided_ahead": 2})

        assert not self.judged(self.of("r1"), repeats=[found]).is_met

    @pytest.mark.parametrize("more", [{"version_digest": "e" * 64}, {"is_measured": False}])
    def test_of_other_bytes_or_attested_is_no_proof(self, more):
        assert self.judged(self.of("r1"), repeats=[self.of("r0", 7, **more)]).is_met

    def test_is_told_where_a_stored_gate_asks_for_unseen_data(self):
        gates = (Gate(kind="backtest"), Gate(kind="causality", unseen_data=True))

        result = self.judged(self.of("r1", 7), gates=gates).results[-1]

        assert result.reason.startswith("it looks ahead: ")


class TestUnasked:
    """Failures of what is relied on stop, whether or not the policy has a gate for them."""

    GATES = (Gate(kind="backtest"),)
    BACKTEST = piece(name="b", source="backtests.run:r1")

    def of(self, kind, run="r1", **more):
        bad = {"n_cuts": 9, "n_differing": 3, "n_responding": 9, "is_identical": False}
        return piece(**{"name": "f", "kind": kind, "figures": bad, "reproduces": run} | more)

    def judged(self, *evidence):
        policy = asking(staging=self.GATES)
        return evaluate("staging", policy, SOUND, [self.BACKTEST, *evidence], NOW)

    @pytest.mark.parametrize("kind", ["causality", "reproduction"])
    def test_of_what_is_relied_on_stop(self, kind):
        report = self.judged(self.of(kind))

        first, backtest = report.results
        assert (first.name, first.outcome, first.evidence) == (kind, "not met", ("f",))
        assert first.reason.endswith("; of r1, which is evidence of: backtest")
        assert backtest.outcome == Outcome.MET
        assert not report.is_met

    @pytest.mark.parametrize("kind", ["causality", "reproduction"])
    def test_of_what_decides_nothing_any_more_are_told_and_no_gate_is_met(self, kind):
        report = self.judged(self.of(kind, "r0", code="old", is_current=False))

        told = report.results[0]
        assert report.is_met
        assert (told.name, told.outcome, told.told) == (kind, "told", ("f",))
        assert told.reason.startswith("no gate asks for it, and none of what gates rest on failed;")
        assert told.reason.endswith("before, and deciding nothing now: r0")
        assert report.document()["gates"][0]["evidence"] == ["f"]
        assert report.evidence == ("b", "f")

    def test_are_no_line_where_there_are_none(self):
        good = self.of("causality", figures={"n_cuts": 9, "n_differing": 0, "n_responding": 9})

        assert [one.name for one in self.judged(good).results] == ["backtest"]

    def test_stop_every_stage_above_and_a_rollback(self):
        policy, given = asking(staging=self.GATES), [self.BACKTEST, self.of("causality")]

        report = evaluate("production", policy, SOUND, given, NOW)

        assert [(one.name, one.outcome) for one in report.results] == [("causality", "not met")]
        assert standing("production", policy, SOUND, given, NOW) == list(report.results)


class TestSameBytes:
    """The same computation does not begin anew under another number, nor by running once more."""

    SAME = "data:spec:code"
    GATES = (Gate(kind="backtest"), Gate(kind="reproduction"))
    BACKTEST = piece(name="b", source="backtests.run:r2", computed=SAME)

    def of(self, run, *, is_identical=True, **more):
        given = {"name": run, "kind": "reproduction", "figures": {"is_identical": is_identical}}
        return piece(**given | {"reproduces": run, "computed": self.SAME} | more)

    def judged(self, *evidence, repeats=()):
        policy, given = asking(staging=self.GATES), [self.BACKTEST, *evidence]
        history = History(repeats=repeats)
        return evaluate("staging", policy, SOUND, given, NOW, history=history).results[-1]

    def test_a_failure_of_the_same_computation_stops(self):
        failed = self.of("r1", is_identical=False)

        for result in (self.judged(failed), self.judged(repeats=[failed])):
            assert (result.outcome, result.evidence) == ("not met", ("r1",))
            assert result.reason.endswith(
                "; of r1, the same computation as r2, which is evidence of: backtest"
            )

    def test_a_later_good_one_of_the_run_itself_takes_it_back(self):
        before = self.of("r1", is_identical=False, produced_at=NOW - timedelta(days=2))

        result = self.judged(self.of("r2"), repeats=[before])

        assert (result.outcome, result.evidence) == ("met", ("r2",))
        assert result.reason.endswith("; not identical before, and deciding nothing now: r1")

    def test_one_that_came_in_earlier_does_not_whatever_its_clock_says(self):
        fast = self.of("r2", produced_at=NOW, arrived=1)

        result = self.judged(fast, repeats=[self.of("r1", is_identical=False, arrived=2)])

        assert result.evidence == ("r1",)

    def test_good_ones_of_twins_meet_no_gate(self):
        assert self.judged(repeats=[self.of("r1")]).outcome == Outcome.NOT_COMPUTED

    @pytest.mark.parametrize(
        "more", [{"computed": "other"}, {"computed": ""}, {"is_superseded": True}]
    )
    def test_a_failure_that_is_of_another_or_was_superseded_is_told(self, more):
        result = self.judged(self.of("r2"), repeats=[self.of("r1", is_identical=False, **more)])

        assert result.outcome == Outcome.MET
        assert result.reason.endswith("; not identical before, and deciding nothing now: r1")
