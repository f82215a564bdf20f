"""A solution with its own tests, run as most exercises are."""
import doctest
import sys
import unittest


def roman(number):
    """
    >>> roman(1994)
    'MCMXCIV'
    >>> roman(0)
    Traceback (most recent call last):
        ...
    ValueError: no numeral for 0
    """
    if number < 1:
        raise ValueError(f"no numeral for {number}")
    values = [1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1]
    symbols = "M CM D CD C XC L XL X IX V IV I".split()
    text = ""
    for value, symbol in zip(values, symbols):
        count, number = divmod(number, value)
        text += symbol * count
    return text


class RomanTest(unittest.TestCase):
    def test_small(self):
        self.assertEqual([roman(n) for n in range(1, 6)], ["I", "II", "III", "IV", "V"])

    def test_subtests(self):
        for number, expected in {9: "IX", 40: "XL", 2024: "MMXXIV"}.items():
            with self.subTest(number):
                self.assertEqual(roman(number), expected)

    def test_wrong_on_purpose(self):
        self.assertEqual(roman(4), "IIII")

    @unittest.skip("not written")
    def test_later(self):
        pass


if __name__ == "__main__":
    print("doctest:", doctest.testmod(), flush=True)
    outcome = unittest.main(exit=False, verbosity=2).result
    print(len(outcome.failures), "failed,", len(outcome.skipped), "skipped")
    sys.exit(not outcome.wasSuccessful())
