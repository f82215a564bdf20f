"""The first problem of every judge: N numbers, one a line; their sum and a checksum."""
import sys


def main():
    read = sys.stdin.readline
    count = int(read())
    numbers = [int(read()) for _ in range(count)]
    print(sum(numbers))
    print(sum(position * number for position, number in enumerate(numbers, 1)) % 1_000_000_007)
    print(*(numbers.count(digit) for digit in range(10)))
    print("rest:", repr(sys.stdin.read()))


main()
