"""Processes made by fork: a pool, a queue, a pipe, a lock around a shared value, a manager."""
import multiprocessing
import os
import sys


def collatz_length(number):
    steps = 0
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        steps += 1
    return steps


def add_many(value, times):
    for _ in range(times):
        with value.get_lock():
            value.value += 1


def squares(inbox, outbox):
    for number in iter(inbox.get, None):
        outbox.put((number, number * number))


def answer(connection):
    while (message := connection.recv()) != "bye":
        connection.send(message[::-1])
    connection.close()


def leave(code):
    sys.exit(code)


def main():
    fork = multiprocessing.get_context("fork")
    with fork.Pool(4) as pool:
        lengths = pool.map(collatz_length, range(1, 5001), chunksize=250)
        print("longest:", max(zip(lengths, range(1, 5001))))
        print("starmap:", pool.starmap(pow, [(2, 10), (3, 5), (7, 3)]))
        print("unordered:", sorted(pool.imap_unordered(abs, [-3, 2, -1])))
        try:
            pool.apply(divmod, (1, 0))
        except ZeroDivisionError:
            print("exception came back")

    value = fork.Value("q", 0)
    workers = [fork.Process(target=add_many, args=(value, 500)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print("shared value:", value.value, [worker.exitcode for worker in workers])

    inbox, outbox = fork.Queue(), fork.Queue()
    worker = fork.Process(target=squares, args=(inbox, outbox))
    worker.start()
    for number in [4, 9, 16, None]:
        inbox.put(number)
    print("queue:", sorted(outbox.get(timeout=5) for _ in range(3)))
    worker.join()

    ours, theirs = fork.Pipe()
    worker = fork.Process(target=answer, args=(theirs,))
    worker.start()
    ours.send([1, "two", 3.0])
    print("pipe:", ours.recv())
    ours.send("bye")
    worker.join()

    with fork.Manager() as manager:
        shared = manager.dict()
        workers = [fork.Process(target=shared.__setitem__, args=(n, n * 10)) for n in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        print("manager:", dict(sorted(shared.items())))

    worker = fork.Process(target=leave, args=(7,))
    worker.start()
    worker.join()
    print("exit code:", worker.exitcode)

    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os._exit(3)
    print("bare fork:", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
