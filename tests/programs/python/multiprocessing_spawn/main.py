"""Processes that start from a fresh interpreter (spawn, forkserver) and import this file anew."""
import multiprocessing
import os
from dataclasses import dataclass

STARTED_AS = __name__


@dataclass(frozen=True)
class Point:
    x: int
    y: int

    def mirrored(self):
        return Point(self.y, self.x)


def describe(point):
    return STARTED_AS, os.path.basename(__file__), point.mirrored()


def produce(queue, lock, count):
    for number in range(count):
        with lock:
            queue.put(number)


def fill(array):
    for index in range(len(array)):
        array[index] = index * index


def try_method(method):
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        for name, file, point in pool.map(describe, [Point(1, 2), Point(3, 4)]):
            print(method, name, file, point)

    queue, lock = context.Queue(), context.Lock()
    worker = context.Process(target=produce, args=(queue, lock, 5))
    worker.start()
    print(method, "queue:", [queue.get(timeout=10) for _ in range(5)])
    worker.join()

    array = context.Array("i", 6)
    worker = context.Process(target=fill, args=(array,))
    worker.start()
    worker.join()
    print(method, "array:", array[:], "exit code:", worker.exitcode)


if __name__ == "__main__":
    for method in ("spawn", "forkserver"):
        try_method(method)
