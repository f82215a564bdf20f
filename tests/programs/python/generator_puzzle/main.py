"""Generators and coroutines: pipelines, send, throw, delegation, backtracking, a scheduler."""
import itertools
from collections import deque
from contextlib import contextmanager
from functools import lru_cache, reduce


def primes():
    composites = {}
    for number in itertools.count(2):
        if number not in composites:
            yield number
            composites[number * number] = [number]
        else:
            for prime in composites.pop(number):
                composites.setdefault(number + prime, []).append(prime)


def running_average():
    total = count = 0
    average = None
    while True:
        try:
            value = yield average
        except ValueError as reset:
            print("reset:", reset)
            total = count = 0
            average = None
            continue
        total += value
        count += 1
        average = total / count


def flatten(nested):
    for item in nested:
        if isinstance(item, list):
            count = yield from flatten(item)
            yield f"({count})"
        else:
            yield item
    return len(nested)


def queens(size, placed=()):
    if len(placed) == size:
        yield placed
        return
    for column in range(size):
        if all(column != other and abs(column - other) != distance
               for distance, other in enumerate(reversed(placed), 1)):
            yield from queens(size, placed + (column,))


def scheduler(*tasks):
    ready = deque(tasks)
    while ready:
        task = ready.popleft()
        try:
            yield next(task)
        except StopIteration as stop:
            yield f"[{stop.value}]"
        else:
            ready.append(task)


def task(name, steps):
    for step in range(steps):
        yield f"{name}{step}"
    return f"{name} done"


@contextmanager
def section(title):
    print("<", title)
    try:
        yield title.upper()
    except LookupError as error:
        print("swallowed", repr(error))
    finally:
        print("/", title)


print(list(itertools.takewhile(lambda prime: prime < 60, primes())))
print("prime no. 5000:", next(itertools.islice(primes(), 4999, None)))

average = running_average()
next(average)
print([average.send(value) for value in (10, 20, 60)])
average.throw(ValueError("a new day"))
print(average.send(5))
average.close()
try:
    average.send(1)
except StopIteration:
    print("closed")

print(list(flatten([1, [2, [3, 4], 5], [], 6])))
print("queens:", next(queens(8)), sum(1 for _ in queens(6)))
print(*scheduler(task("a", 3), task("b", 1), task("c", 2)))
with section("first") as title:
    print(title)
with section("second"):
    {}["missing"]


@lru_cache(maxsize=None)
def partitions(total, largest):
    if total == 0:
        return 1
    return sum(partitions(total - part, min(part, total - part)) for part in range(1, largest + 1))


print("partitions of 60:", partitions(60, 60), partitions.cache_info().hits > 0)
print(["".join(group) for group in itertools.islice(itertools.permutations("abcd"), 3)],
      list(itertools.accumulate([3, 1, 4, 1, 5], max)),
      [(key, len(list(group))) for key, group in itertools.groupby("aaabccd")])
print(reduce(lambda total, digit: total * 10 + digit, [1, 9, 8, 4]))
