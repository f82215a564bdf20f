"""Threads: producers and consumers, locks, conditions, events, barriers, thread-local data."""
import queue
import sys
import threading
import time

DONE = object()
jobs = queue.Queue(maxsize=8)
totals = []
totals_lock = threading.Lock()


def consumer():
    subtotal = 0
    while (item := jobs.get()) is not DONE:
        subtotal += item * item
        jobs.task_done()
    jobs.task_done()
    with totals_lock:
        totals.append(subtotal)


consumers = [threading.Thread(target=consumer, name=f"consumer-{i}") for i in range(4)]
for thread in consumers:
    thread.start()
for number in range(2000):
    jobs.put(number)
for _ in consumers:
    jobs.put(DONE)
jobs.join()
for thread in consumers:
    thread.join()
print("sum of squares:", sum(totals), "from", len(totals), "consumers")

sys.setswitchinterval(1e-5)
counter = 0
counter_lock = threading.RLock()


def count(times):
    global counter
    for _ in range(times):
        with counter_lock, counter_lock:
            counter += 1


threads = [threading.Thread(target=count, args=(3000,)) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("counter:", counter)

turn, order, condition = 0, [], threading.Condition()


def take_turns(me, players, rounds):
    global turn
    for _ in range(rounds):
        with condition:
            condition.wait_for(lambda: turn % players == me)
            order.append("abc"[me])
            turn += 1
            condition.notify_all()


players = [threading.Thread(target=take_turns, args=(me, 3, 4)) for me in range(3)]
for thread in players:
    thread.start()
for thread in players:
    thread.join()
print("turns:", "".join(order))

barrier = threading.Barrier(3, action=lambda: print("everyone arrived"))
local = threading.local()
seen = []


def with_local(value):
    local.value = value
    barrier.wait()
    seen.append(local.value)


group = [threading.Thread(target=with_local, args=(value,)) for value in (30, 10, 20)]
for thread in group:
    thread.start()
for thread in group:
    thread.join()
print("thread-local:", sorted(seen), hasattr(local, "value"))

event = threading.Event()
threading.Timer(0.01, event.set).start()
started = time.monotonic()
print("event:", event.wait(5), "in time:", time.monotonic() - started < 4)
print("not again:", threading.Semaphore(0).acquire(timeout=0.01))

caught = []
threading.excepthook = lambda info: caught.append(f"{info.exc_type.__name__}: {info.exc_value}")
broken = threading.Thread(target=lambda: 1 / 0)
broken.start()
broken.join()
print("in a thread:", caught)
print("alive at the end:", threading.active_count(), threading.current_thread().name)
