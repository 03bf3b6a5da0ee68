"""Words of comparisons: compiled and in plain Python they are the same."""

import numpy as np
import pytest
from numba import njit

from numerics.bits import WORD, above_bits, changed_bits, count_bits, first_bit, without_first

WORDS = (0, 1, -1, 0b1011_0000, 1 << 62, -(1 << 63), 0x0F0F_0000_0000_0F0F)


@njit
def compiled_facts(bits):
    return first_bit(bits), count_bits(bits), without_first(bits)


@njit
def compiled_changes(above, was_above):
    return changed_bits(above, was_above)


@njit
def compiled_above(first, second, at):
    return above_bits(first.ctypes.data, second.ctypes.data, at)


class TestAboveBits:
    def test_gives_a_bit_per_row_from_the_row_on(self):
        first, second = np.zeros(80), np.zeros(80)
        first[[10, 73, 75]] = 1.0
        first[11] = np.nan

        bits = compiled_above(first, second, 10)

        assert bits == 1 | -(1 << 63)
        assert bits == above_bits(first.ctypes.data, second.ctypes.data, 10)


class TestCountedBits:
    @pytest.mark.parametrize("word", WORDS)
    def test_compiled_is_plain(self, word):
        found = compiled_facts(np.int64(word))

        for plain in (word, np.int64(word)):
            assert found[:2] == (first_bit(plain), count_bits(plain))
        assert found[2] % 2**WORD == word & (word - 1) & (1 << WORD) - 1

    @pytest.mark.parametrize("word", WORDS)
    def test_counts_what_a_string_of_digits_shows(self, word):
        digits = format(word & (1 << WORD) - 1, "064b")

        assert count_bits(word) == digits.count("1")
        assert first_bit(word) == (WORD if word == 0 else len(digits) - 1 - digits.rindex("1"))


class TestChangedBits:
    @pytest.mark.parametrize(("was", "expected"), [(False, 0b10100), (True, 0b10101)])
    def test_compares_each_row_with_the_one_before(self, was, expected):
        assert compiled_changes(0b01100, was) == expected
