"""concurrent.futures: a thread pool, a process pool, exceptions and ordering."""
import math
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed


def is_prime(number):
    if number < 2:
        return False
    return all(number % divisor for divisor in range(2, math.isqrt(number) + 1))


def fail(number):
    raise RuntimeError(f"worker refused {number}")


def main():
    candidates = [1122725351, 99991, 1 << 31, (1 << 31) - 1, 7917, 7919]
    with ProcessPoolExecutor(max_workers=2) as pool:
        for number, prime in zip(candidates, pool.map(is_prime, candidates)):
            print(f"{number} is {'prime' if prime else 'composite'}")
        try:
            pool.submit(fail, 13).result()
        except RuntimeError as error:
            print("from a process:", error, "| cause kept:", error.__cause__ is not None)

    with ThreadPoolExecutor(max_workers=3) as pool:
        futures = {pool.submit(pow, base, 10): base for base in range(6)}
        finished = {futures[future]: future.result() for future in as_completed(futures)}
    print(dict(sorted(finished.items())))


if __name__ == "__main__":
    main()
