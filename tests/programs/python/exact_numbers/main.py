"""Decimals, fractions, statistics and a seeded random generator."""
import cmath
import decimal
import math
import random
import statistics
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

print(0.1 + 0.2, Decimal("0.1") + Decimal("0.2"), Fraction(1, 10) + Fraction(2, 10))
with localcontext() as context:
    context.prec = 60
    print(Decimal(2).sqrt())
    print(Decimal(1).exp())
for mode in (ROUND_HALF_UP, ROUND_HALF_EVEN):
    print(mode, [str(Decimal(text).quantize(Decimal("1"), mode)) for text in ("0.5", "1.5", "2.5")])
try:
    Decimal(1) / Decimal(0)
except decimal.DivisionByZero:
    print("DivisionByZero")

harmonic = sum(Fraction(1, n) for n in range(1, 21))
print(harmonic, float(harmonic), Fraction(math.pi).limit_denominator(1000))
print(math.fsum([0.1] * 10), sum([Fraction(1, 10)] * 10), math.comb(40, 20), math.perm(10, 3))

data = [2.5, 3.1, 4.7, 5.0, 5.0, 6.2, 9.9]
print(round(statistics.stdev(data), 6), statistics.median(data), statistics.mode(data),
      [round(cut, 4) for cut in statistics.quantiles(data, n=4)])

generator = random.Random(2024)
print([generator.randint(1, 6) for _ in range(12)])
print([round(generator.random(), 6) for _ in range(4)])
deck = list(range(10))
generator.shuffle(deck)
print(deck, generator.choice("abcdef"), generator.sample(range(100), 4))
print(generator.choices("xyz", weights=[5, 3, 1], k=10), hex(generator.getrandbits(64)))
print(round(generator.gauss(0, 1), 9), round(generator.uniform(-1, 1), 9))
random.seed("a text as the seed")
print(random.randrange(10**12))

inside = sum(generator.random() ** 2 + generator.random() ** 2 < 1 for _ in range(100_000))
print("pi is about", 4 * inside / 100_000)
print(cmath.sqrt(-4), abs(3 + 4j), float("inf") > 1e308, math.nan == math.nan)
print(round(2.5), round(-2.675, 2), 7 // -2, 7 % -2, divmod(-7, 2), 1e16 + 1, 5e-324)
print(f"{12345.6789:,.2f} {0.000123:e} {255:#x} {255:08b} {0.5:%} {(2**53 + 1) / 1:.0f}")
