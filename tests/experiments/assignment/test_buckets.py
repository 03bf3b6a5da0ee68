from fractions import Fraction
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.assignment.buckets import N_BUCKETS, bucket, buckets_of, point, threshold
from experiments.assignment.errors import AssignmentError, SettingsError, UnitError

printable = st.characters(exclude_categories=["Cc", "Cs"])
units = st.text(printable, min_size=1, max_size=60)


class TestBucket:
    @pytest.mark.parametrize(
        ("salt", "unit", "expected"),
        [
            # printf 'pilot:AAPL' | sha256sum | cut -c1-16, and so on.
            ("pilot", "AAPL", 0x74AAD650D232EFB4),
            ("pilot/arm", "AAPL", 0x209CA295995E7912),
            ("pilot", "Zürich 7", 0xF3BED0CFE802DE42),
        ],
    )
    def test_is_the_beginning_of_the_hash(self, salt, unit, expected):
        assert bucket(salt, unit) == expected

    @given(units)
    def test_hashes_salt_colon_unit(self, unit):
        digest = sha256(f"pilot:{unit}".encode()).hexdigest()

        assert bucket("pilot", unit) == int(digest[:16], 16)

    @pytest.mark.parametrize(
        "unit",
        ["", "a" * 257, "ü" * 129, "a\nb", "\x00", "\x7f", "\x85", "\ud800", None, 7, b"a"],
    )
    def test_refuses_what_is_no_unit(self, unit):
        with pytest.raises(UnitError):
            bucket("pilot", unit)

    def test_refuses_ten_megabytes_without_repeating_them(self):
        with pytest.raises(AssignmentError, match="10,000,000") as refusal:
            bucket("pilot", "x" * 10_000_000)

        assert len(str(refusal.value)) < 200

    @pytest.mark.parametrize("unit", ["a" * 256, "ü" * 128, "a b", "a:b", "\u200b", "🂡"])
    def test_takes_any_other_text(self, unit):
        assert 0 <= bucket("pilot", unit) < N_BUCKETS

    @pytest.mark.parametrize("salt", ["", "a:b", "a b", "a/", "a/b/c", "x" * 65, "ü", "a\n", None])
    def test_refuses_what_is_no_salt(self, salt):
        with pytest.raises(SettingsError):
            bucket(salt, "AAPL")

    def test_spreads_fixed_units_evenly(self):
        found = buckets_of("pilot", [f"unit-{number}" for number in range(100_000)])

        counts = np.bincount((found >> np.uint64(56)).astype(np.int64), minlength=256)

        assert stats.chisquare(counts).pvalue > 0.001

    def test_strays_from_a_share_over_salts_as_chance_does(self):
        names = [f"unit-{number}" for number in range(2_000)]
        below = np.array(
            [np.sum(buckets_of(f"s{k}", names) < np.uint64(threshold(0.3))) for k in range(200)]
        )

        deviations = (below - 600.0) / np.sqrt(2_000 * 0.3 * 0.7)

        assert stats.kstest(deviations, "norm").pvalue > 0.001


class TestBucketsOf:
    @given(st.lists(units, max_size=20))
    def test_agrees_with_one_by_one(self, names):
        found = buckets_of("pilot", names)

        assert found.dtype == np.uint64
        assert found.tolist() == [bucket("pilot", name) for name in names]

    def test_names_the_unit_that_is_none(self):
        with pytest.raises(UnitError, match="Unit 1: "):
            buckets_of("pilot", ["a", "", "b"])


class TestThreshold:
    @given(st.floats(0.0, 1.0), st.integers(0, N_BUCKETS - 1))
    def test_compares_as_exact_arithmetic_does(self, share, number):
        assert (number < threshold(share)) is (Fraction(number, N_BUCKETS) < Fraction(share))

    @given(st.floats(2.0**-60, 1.0))
    def test_compares_exactly_at_the_edge(self, share):
        edge = threshold(share)

        assert Fraction(edge - 1, N_BUCKETS) < Fraction(share) <= Fraction(edge, N_BUCKETS)

    @pytest.mark.parametrize("share", [-0.1, 1.0000001, float("nan"), float("inf")])
    def test_refuses_what_is_no_share(self, share):
        with pytest.raises(SettingsError):
            threshold(share)


class TestPoint:
    def test_stays_below_one(self):
        assert point(0) == 0.0
        assert point(2**63) == 0.5
        assert point(N_BUCKETS - 1) == 1.0 - 2.0**-53
