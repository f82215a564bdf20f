"""Runs into the recursion limit, recovers, and goes deeper on purpose in a larger thread."""
import sys
import threading


def endless(depth=0):
    return endless(depth + 1)


def depth_of(tree):
    return 1 + max((depth_of(child) for child in tree), default=0)


def count_down(number):
    return 0 if number == 0 else 1 + count_down(number - 1)


for attempt in range(3):
    try:
        endless()
    except RecursionError as error:
        print(attempt, type(error).__name__, "maximum recursion depth exceeded" in str(error))

print("default limit:", sys.getrecursionlimit())
print("still fine:", count_down(700))

nested = []
for _ in range(150):
    nested = [nested]
print("tree depth:", depth_of(nested))

loop = []
loop.append(loop)
print("self-reference:", loop)


class Echo:
    def __getattr__(self, name):
        return getattr(self, name + "x")


try:
    Echo().anything
except RecursionError:
    print("recursion through __getattr__")

result = []


def deep():
    sys.setrecursionlimit(20_000)
    result.append(count_down(15_000))


threading.stack_size(64 * 1024 * 1024)
thread = threading.Thread(target=deep)
thread.start()
thread.join()
print("deep thread:", result)
