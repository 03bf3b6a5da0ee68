"""What gates answer: met, not met, not computed; and that the last is never the first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.rules.gates import (
    EvidenceFacts,
    History,
    Older,
    Outcome,
    VersionFacts,
    evaluate,
    standing,
)
from registry.rules.policies import BUILT_IN, Approvals, Gate, GateKind, Policy, StagePolicy

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MEASURED = sorted(set(GateKind) - BUILT_IN - {GateKind.MANUAL})
DIGEST = "d" * 64
SOUND = VersionFacts(digest=DIGEST, scan="ready", is_intact=True, has_signature=True)


def piece(**more) -> EvidenceFacts:
    given = {
        "name": "e1", "kind": "backtest", "topic": "", "is_measured": True, "figures": {},
        "version_digest": DIGEST, "produced_at": NOW - timedelta(days=1),
    }  # fmt: skip
    return EvidenceFacts(**given | more)


def asking(**gates) -> Policy:
    """Return a policy with these gates at these stages, and as few approvals as may be."""
    n_approvals = {"testing": 0, "staging": 1, "production": 2}
    return Policy(
        **{
            stage: StagePolicy(gates=tuple(gates.get(stage, ())), approvals=Approvals(number=n))
            for stage, n in n_approvals.items()
        }
    )


def judged(gate, evidence=(), version=SOUND, **more):
    policy = asking(staging=[gate])
    *_, result = evaluate("staging", policy, version, list(evidence), NOW, **more).results
    return result


class TestBuiltIn:
    @pytest.mark.parametrize(
        ("kind", "facts", "outcome", "reason"),
        [
            ("artifact_scan", {}, "met", "nothing hostile"),
            ("artifact_scan", {"scan": "pending"}, "not computed", "not been looked at"),
            ("artifact_scan", {"scan": "refused", "findings": ["os.system"]}, "not met",
             "os.system"),
            ("artifact_scan", {"scan": "refused"}, "not met", "refused"),
            ("artifact_scan", {"scan": "quarantined"}, "not met", "have it converted"),
            ("artifact_scan", {"scan": "quarantined", "waived_until": NOW}, "not met", "ended"),
            ("artifact_scan", {"scan": "quarantined", "waived_until": NOW + timedelta(1)}, "met",
             "waiver until 2026-01-06"),
            ("integrity", {}, "met", "dddddddddddd"),
            ("integrity", {"is_intact": False}, "not met", "others than"),
            ("signature_schema", {}, "met", "described"),
            ("signature_schema", {"has_signature": False}, "not met", "allow_duplicate"),
            ("model_card_complete", {}, "met", "complete"),
            ("model_card_complete", {"missing": ["desk"]}, "not met", "lacks: desk"),
        ],
    )  # fmt: skip
    def test_answers(self, kind, facts, outcome, reason):
        version = VersionFacts(**vars(SOUND) | facts)

        result = judged(Gate(kind=kind), version=version)

        assert result.outcome == outcome
        assert reason in result.reason


class TestMeasured:
    @pytest.mark.parametrize(
        ("more", "outcome", "reason"),
        [
            ({"figures": {"n_bars": 300, "sharpe": 0.5}}, "met", "n_bars 300"),
            ({"figures": {"n_bars": 252, "sharpe": 1.0}}, "met", ""),
            ({"figures": {"n_bars": 251, "sharpe": 1.0}}, "not met", "at least 252"),
            ({"figures": {"n_bars": 300, "sharpe": 3.1}}, "not met", "at most 3"),
            ({"figures": {"n_bars": 300}}, "not computed", "has no sharpe"),
            ({"figures": {"n_bars": None, "sharpe": 1.0}}, "not computed", "has no n_bars"),
            ({"figures": {"n_bars": True, "sharpe": 1.0}}, "not computed", "has no n_bars"),
            ({"figures": {"n_bars": "300", "sharpe": 1.0}}, "not computed", "has no n_bars"),
            ({"figures": {"n_bars": float("nan"), "sharpe": 1}}, "not computed", "has no n_bars"),
            ({"is_measured": False}, "not met", "attested"),
            ({"version_digest": "e" * 64}, "not met", "of other bytes"),
            ({"version_digest": ""}, "not met", "does not name the bytes"),
            ({"is_current": False}, "not met", "have changed"),
            ({"expires_at": NOW}, "not met", "ended"),
            ({"produced_at": NOW - timedelta(days=31)}, "not met", "31 days old, 30 may be"),
            ({"produced_at": NOW - timedelta(days=30)}, "met", ""),
            (
                {"produced_at": NOW - timedelta(days=30, minutes=9)},
                "not met",
                "30 days and 1 h old",
            ),
            ({"figures": {"n_bars": 10**400, "sharpe": 1.0}}, "not computed", "has no n_bars"),
            ({"produced_at": NOW + timedelta(minutes=6)}, "not met", "in the future"),
        ],
    )
    def test_answers(self, more, outcome, reason):
        gate = Gate(
            kind="backtest", minimum={"n_bars": 252}, maximum={"sharpe": 3}, max_age_days=30
        )
        figures = {"figures": {"n_bars": 300, "sharpe": 1.0}}

        result = judged(gate, [piece(**figures | more)])

        assert (result.outcome, result.evidence) == (outcome, ("e1",))
        assert reason in result.reason

    @pytest.mark.parametrize("kind", MEASURED)
    def test_without_evidence_is_not_computed(self, kind):
        other = piece(kind="stress" if kind != "stress" else "pbo")

        assert judged(Gate(kind=kind), [other]).outcome == Outcome.NOT_COMPUTED

    def test_weighs_what_came_in_last_whatever_clocks_say(self):
        gate = Gate(kind="pbo", maximum={"probability": 0.5})
        by_a_fast_clock = piece(kind="pbo", name="f", figures={"probability": 0.1},
                                produced_at=NOW, arrived=1)  # fmt: skip
        later = piece(kind="pbo", name="l", figures={"probability": 0.9}, arrived=2)

        assert judged(gate, [by_a_fast_clock, later]).evidence == ("l",)

    def test_weighs_the_newest(self):
        gate = Gate(kind="pbo", maximum={"probability": 0.5})
        good = piece(kind="pbo", name="old", figures={"probability": 0.1},
                     produced_at=NOW - timedelta(days=9))  # fmt: skip
        bad = piece(kind="pbo", name="new", figures={"probability": 0.9})

        assert judged(gate, [good, bad]).outcome == Outcome.NOT_MET
        assert judged(gate, [bad, good]).evidence == ("new",)

    def test_tells_what_was_measured_until_it_was_good_enough(self):
        gate = Gate(kind="pbo", maximum={"probability": 0.5})
        newest = piece(kind="pbo", figures={"probability": 0.07})
        earlier = [
            piece(kind="pbo", figures={"probability": value}, produced_at=NOW - timedelta(days=ago))
            for value, ago in ((0.92, 2), (0.085, 3))
        ]
        others = [piece(kind="backtest", figures={"probability": 0.3})]

        result = judged(gate, [newest], history=History(earlier=[*earlier, *others]))

        assert result.outcome == Outcome.MET
        assert result.reason == (
            "probability 0.07; measured twice before, superseded since: probability 0.085 and 0.92"
        )

    def test_counts_what_is_too_much_to_tell(self):
        gate = Gate(kind="pbo", maximum={"probability": 0.5})
        newest = piece(kind="pbo", figures={"probability": 0.07})
        earlier = [piece(kind="pbo", figures={"probability": 0.9})]
        older = {"pbo": Older(51, {"probability": (0.08, 0.99)})}

        result = judged(gate, [newest], history=History(earlier=earlier, older=older))

        said = "measured 52 times before, superseded since: probability 0.9, and 51 older ones from"
        assert result.reason.endswith(f"{said} 0.08 to 0.99")

    def test_tells_once_what_was_the_same_each_time(self):
        gate = Gate(kind="pbo", maximum={"probability": 0.5})
        same = [piece(kind="pbo", figures={"probability": 0.0}) for _ in range(3)]
        older = {"pbo": Older(51, {"probability": (0.0, 0.0)})}

        told = judged(gate, same[:1], history=History(earlier=same[1:])).reason
        whole = judged(gate, same[:1], history=History(earlier=same[1:], older=older)).reason

        assert told.endswith("measured twice before, superseded since: probability 0 each time")
        assert whole.endswith("measured 53 times before, superseded since: probability 0 each time")


class TestData:
    GATE = Gate(kind="walk_forward", minimum={"sharpe": 0.0})
    STRICT = Gate(kind="walk_forward", minimum={"sharpe": 0.0}, unseen_data=True)
    OWN, OTHER = "a" * 64, "b" * 64

    def of(self, data, **figures):
        return piece(kind="walk_forward", figures={"sharpe": 0.8, **figures}, data=data)

    @pytest.mark.parametrize(
        ("datasets", "data", "days", "words"),
        [
            (
                [OWN],
                OWN,
                9,
                "on data aaaaaaaaaaaa, which the version was made from: not out of sample",
            ),
            ([OWN], OTHER, 0, "on data bbbbbbbbbbbb, which the version was not made from"),
            (
                [OWN],
                OTHER,
                9,
                (
                    "on data bbbbbbbbbbbb, 9 days of which the version was made from: not out of "
                    "sample"
                ),
            ),
            (
                [],
                OWN,
                None,
                "on data aaaaaaaaaaaa; the version does not name the data it was made from",
            ),
        ],
    )
    def test_of_the_evidence_are_told_beside_those_of_the_version(
        self, datasets, data, days, words
    ):
        evidence = self.of(data, days_seen=days)

        result = judged(self.GATE, [evidence], replace(SOUND, datasets=datasets))

        assert (result.outcome, result.reason) == ("met", f"sharpe 0.8; measured {words}")

    def test_are_not_told_where_the_evidence_names_none(self):
        assert judged(self.GATE, [self.of("")]).reason == "sharpe 0.8"

    @pytest.mark.parametrize(
        ("datasets", "data", "figures", "outcome", "words"),
        [
            ([OWN], OTHER, {"days_seen": 0}, "met", "sharpe 0.8"),
            ([OWN], OWN, {"days_seen": 9}, "not met", "this gate takes data that the version was"),
            ([OWN], OWN, {}, "not met", "this gate takes data that the version was not made from"),
            # the file less one bar has another digest
            ([OWN], OTHER, {"days_seen": 9}, "not met", "this gate takes data that the version"),
            # an invented digest
            ([OTHER], OWN, {}, "not computed", "the version was made from data that the platform"),
            ([], OWN, {}, "not computed", "the version does not name the data it was made from"),
            ([OWN], "", {}, "not computed", "the evidence does not name its data"),
        ],
    )
    def test_must_be_unseen_where_the_policy_says_so(self, datasets, data, figures, outcome, words):
        evidence = self.of(data, **figures)

        result = judged(self.STRICT, [evidence], replace(SOUND, datasets=datasets))

        assert result.outcome == outcome
        assert result.reason.startswith(words)

    @pytest.mark.parametrize(
        ("data", "outcome"), [(OWN, "met"), (OTHER, "not met"), ("", "not met")]
    )
    def test_must_be_those_that_a_gate_names(self, data, outcome):
        gate = Gate(kind="walk_forward", datasets=[self.OWN])

        assert judged(gate, [self.of(data)]).outcome == outcome


class TestDataQuality:
    GATE = Gate(kind="data_quality", maximum={"n_errors": 0})
    GATES = (Gate(kind="backtest"), Gate(kind="pbo"), GATE)
    ONE, OTHER = "a" * 64, "b" * 64

    def of(self, data, n_errors=0, **more):
        given = {"kind": "data_quality", "figures": {"n_errors": n_errors}, "data": data}
        return piece(**{"name": data[:1], **given} | more)

    def judged(self, *quality):
        runs = [
            piece(name="x", data=self.ONE, source="backtests.run:r1"),
            piece(name="y", kind="pbo", data=self.OTHER, source="backtests.run:r2"),
        ]
        policy = asking(staging=self.GATES)
        return evaluate("staging", policy, SOUND, [*runs, *quality], NOW).results[-1]

    def test_is_of_all_data_that_other_evidence_was_measured_on(self):
        result = self.judged(self.of(self.ONE), self.of(self.OTHER))

        assert (result.outcome, result.evidence) == ("met", ("a", "b"))

    def test_of_one_dataset_hides_no_fault_of_another(self):
        result = self.judged(self.of(self.ONE, 2), self.of(self.OTHER, produced_at=NOW))

        assert (result.outcome, result.evidence) == ("not met", ("a",))
        assert result.reason.startswith("n_errors is 2, at most 0 is asked; measured on data aaaa")

    def test_of_one_dataset_alone_is_not_computed(self):
        result = self.judged(self.of(self.ONE))

        assert result.outcome == Outcome.NOT_COMPUTED
        assert result.reason.startswith("no evidence says how sound data bbbbbbbbbbbb are")

    def test_of_data_that_nothing_rests_on_stops_nothing(self):
        beside = self.of("c" * 64, 5, produced_at=NOW)

        assert self.judged(self.of(self.ONE), self.of(self.OTHER), beside).outcome == Outcome.MET

    def test_is_what_the_import_found_that_the_run_used(self):
        dirty = self.of(self.ONE, 2, name="dirty", quality="d")
        clean = self.of(self.ONE, name="clean", quality="c", produced_at=NOW)
        policy = asking(staging=(Gate(kind="backtest"), self.GATE))
        for quality, outcome in (("d", "not met"), ("c", "met")):
            run = piece(name="x", data=self.ONE, quality=quality, source="backtests.run:r1")

            result = evaluate("staging", policy, SOUND, [run, dirty, clean], NOW).results[-1]

            assert result.outcome == outcome
            told = "another import of the same data: n_errors is 2, at most 0 is asked"
            assert (told in result.reason) is (outcome == "met")

    def test_of_a_cheap_run_on_a_clean_import_hides_no_fault_of_another(self):
        dirty = self.of(self.ONE, 2, name="dirty", quality="d")
        clean = self.of(self.ONE, name="clean", quality="c", produced_at=NOW)
        runs = [
            piece(name="w", kind="pbo", data=self.ONE, quality="d", source="backtests.run:r1"),
            piece(name="x", data=self.ONE, quality="c", source="backtests.run:r2"),
        ]
        policy = asking(staging=self.GATES)

        result = evaluate("staging", policy, SOUND, [*runs, dirty, clean], NOW).results[-1]

        assert (result.outcome, result.evidence) == ("not met", ("dirty",))

    def test_decides_by_the_newest_where_there_is_nothing_else(self):
        quality = [self.of(self.ONE, 2), self.of(self.OTHER, produced_at=NOW)]

        assert judged(self.GATE, quality).evidence == ("b",)


class TestManual:
    GATE = Gate(kind="manual", topic="drill", max_age_days=10)

    def test_takes_what_was_attested_about_its_topic(self):
        attested = {"kind": "manual", "is_measured": False}

        assert judged(self.GATE, [piece(**attested, topic="drill")]).outcome == Outcome.MET
        assert judged(self.GATE, [piece(**attested, topic="x")]).outcome == Outcome.NOT_COMPUTED
        assert judged(self.GATE).name == "manual:drill"


figures = st.dictionaries(
    st.sampled_from(["sharpe", "n_bars", "probability"]),
    st.one_of(
        st.none(),
        st.booleans(),
        st.floats(),
        st.integers(),
        st.integers(10**308, 10**400),
        st.just("0.5"),
    ),
)
pieces = st.builds(
    EvidenceFacts,
    name=st.text("abc", min_size=1, max_size=3),
    kind=st.sampled_from([*MEASURED, "manual"]),
    topic=st.sampled_from(["", "drill"]),
    is_measured=st.booleans(),
    figures=figures,
    version_digest=st.sampled_from(["", DIGEST, "e" * 64]),
    produced_at=st.integers(-400, 400).map(lambda days: NOW + timedelta(days=days)),
    expires_at=st.one_of(st.none(), st.integers(-9, 9).map(lambda d: NOW + timedelta(days=d))),
    is_current=st.booleans(),
    arrived=st.integers(0, 2),
)
gates = st.one_of(
    st.builds(
        Gate,
        kind=st.sampled_from(MEASURED),
        minimum=st.dictionaries(st.sampled_from(["sharpe", "n_bars"]), st.floats(-2, 2)),
        maximum=st.dictionaries(st.sampled_from(["probability"]), st.floats(0, 1)),
        max_age_days=st.one_of(st.none(), st.integers(1, 300)),
    ),
    st.just(Gate(kind="manual", topic="drill")),
    st.sampled_from(sorted(BUILT_IN)).map(lambda kind: Gate(kind=kind)),
)
versions = st.builds(
    VersionFacts,
    digest=st.just(DIGEST),
    scan=st.sampled_from(["ready", "pending", "quarantined", "refused"]),
    is_intact=st.booleans(),
    has_signature=st.booleans(),
    missing=st.lists(st.sampled_from(["desk", "tier"]), max_size=2),
    waived_until=st.one_of(st.none(), st.just(NOW + timedelta(days=1))),
)


class TestStanding:
    @pytest.mark.parametrize(
        ("more", "why"),
        [
            ({"scan": "pending"}, "not been looked at"),
            ({"scan": "refused", "findings": ["os.system is called"]}, "os.system"),
            ({"scan": "quarantined", "waived_until": NOW - timedelta(days=1)}, "its waiver ended"),
            ({"is_intact": False}, "others than those registered"),
        ],
    )
    def test_gates_are_asked_whatever_the_policy_asks(self, more, why):
        version = VersionFacts(**{"digest": DIGEST, "scan": "ready", "is_intact": True,
                                  "has_signature": True} | more)  # fmt: skip

        report = evaluate("production", asking(), version, [], NOW)

        assert not report.is_met
        assert why in report.failures[0]
        assert standing("production", asking(), version, [], NOW) == list(report.results)

    def test_gates_that_are_met_are_told_by_the_policy_alone(self):
        version = VersionFacts(DIGEST, "ready", is_intact=True, has_signature=True)

        assert evaluate("production", asking(), version, [], NOW).results == ()


class TestAlways:
    @given(gates, versions, st.lists(pieces, max_size=4))
    def test_met_rests_on_evidence_that_counts(self, gate, version, evidence):
        result = judged(gate, evidence, version)

        if result.outcome != Outcome.MET or gate.kind in BUILT_IN:
            return
        of_kind = [one for one in evidence if (one.kind, one.topic) == (gate.kind, gate.topic)]
        newest = max(of_kind, key=lambda one: (one.arrived, one.produced_at, one.name))
        assert result.evidence == (newest.name,)
        assert newest.is_measured or gate.kind == GateKind.MANUAL
        assert newest.version_digest in (DIGEST, "" if not newest.is_measured else DIGEST)
        assert newest.is_current
        assert newest.expires_at is None or newest.expires_at > NOW
        for name, least in gate.minimum.items():
            assert newest.figures[name] >= least
        for name, most in gate.maximum.items():
            assert newest.figures[name] <= most

    @given(st.lists(gates, max_size=4), versions, st.lists(pieces, max_size=4))
    def test_one_gate_that_is_not_met_stops_all(self, asked, version, evidence):
        policy = asking(staging={gate.name: gate for gate in asked}.values())

        report = evaluate("staging", policy, version, evidence, NOW)

        outcomes = [result.outcome for result in report.results]
        assert report.is_met == (set(outcomes) <= {Outcome.MET, Outcome.TOLD})
        assert len(report.failures) == sum(one.startswith("not ") for one in outcomes)
        assert report.document()["is_met"] == report.is_met

    @given(gates, versions, st.lists(pieces, max_size=4), st.randoms())
    def test_the_order_of_evidence_does_not_matter(self, gate, version, evidence, shuffler):
        unlike = list({one.name: one for one in evidence}.values())
        shuffled = list(unlike)
        shuffler.shuffle(shuffled)

        assert judged(gate, unlike, version) == judged(gate, shuffled, version)

    @given(gates)
    def test_nothing_meets_nothing_that_was_not_measured(self, gate):
        if gate.kind in BUILT_IN:
            return
        assert judged(gate).outcome == Outcome.NOT_COMPUTED
