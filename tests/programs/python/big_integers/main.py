"""Arithmetic on integers of thousands of digits."""
import math


def pi_digits(count):
    """Decimal digits of pi by Machin's formula, in integers only."""
    unit = 10 ** (count + 10)

    def arctan_inverse(x):
        term = total = unit // x
        divisor, sign = 1, 1
        while term:
            term //= x * x
            divisor += 2
            sign = -sign
            total += sign * (term // divisor)
        return total

    return str(4 * (4 * arctan_inverse(5) - arctan_inverse(239)))[:count]


def is_probable_prime(number):
    odd, shifts = number - 1, 0
    while odd % 2 == 0:
        odd //= 2
        shifts += 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        power = pow(base, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(shifts - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


factorial = math.factorial(1000)
digits = str(factorial)
print(digits[:40], "…", len(digits), "digits, digit sum", sum(map(int, digits)))
print("trailing zeros:", len(digits) - len(digits.rstrip("0")))

digits = pi_digits(1000)
for start in range(0, 200, 50):
    print(digits[start:start + 50])
print("… last ten of a thousand:", digits[-10:])

print(pow(3, 10**50, 10**9 + 7), pow(17, -1, 3120))
mersenne = 2**521 - 1
print("2^521-1 prime:", is_probable_prime(mersenne), "| next odd:", is_probable_prime(mersenne + 2))

a, b = 0, 1
for _ in range(10_000):
    a, b = b, a + b
print("F(10000) mod 10^20:", a % 10**20, "bits:", a.bit_length())
huge = 7 ** 20_000
print("isqrt exact:", math.isqrt(huge * huge) == huge, "gcd:", math.gcd(huge, 7**5 * 9))
print(hex(2**200 + 255), -(2**100) >> 3, (-(2**70)) % 1000)
print(int("z" * 30, 36) == 36**30 - 1, (2**64).to_bytes(9, "big").hex())
