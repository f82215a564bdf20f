"""asyncio without sockets: gather, a worker queue, timeouts, cancellation, locks, an executor."""
import asyncio
import contextlib


async def delayed(value, delay):
    await asyncio.sleep(delay)
    if value == 3:
        raise ValueError("three is not welcome")
    return value * value


async def worker(name, queue, results):
    while True:
        item = await queue.get()
        await asyncio.sleep(0.001 * (item % 3))
        results.append((item, item ** 3))
        queue.task_done()


async def cancelled_properly(log):
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        log.append("cleaned up")
        raise


async def numbers(limit):
    for number in range(limit):
        await asyncio.sleep(0)
        yield number


async def main():
    # The slowest comes first, and gather keeps the order all the same.
    outcome = await asyncio.gather(
        *(delayed(value, 0.05 - value * 0.01) for value in range(5)), return_exceptions=True
    )
    print("gather:", outcome)

    queue, results = asyncio.Queue(maxsize=4), []
    workers = [asyncio.create_task(worker(f"w{i}", queue, results)) for i in range(3)]
    for item in range(20):
        await queue.put(item)
    await queue.join()
    for task in workers:
        task.cancel()
    ended = await asyncio.gather(*workers, return_exceptions=True)
    print("queue:", sum(cube for _, cube in results), {type(end).__name__ for end in ended})

    try:
        await asyncio.wait_for(asyncio.sleep(5), timeout=0.02)
    except asyncio.TimeoutError:
        print("timed out")

    log = []
    task = asyncio.create_task(cancelled_properly(log))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    print("cancelled:", task.cancelled(), log)

    limit, running, peak = asyncio.Semaphore(2), 0, 0

    async def limited():
        nonlocal running, peak
        async with limit:
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0.002)
            running -= 1

    await asyncio.gather(*(limited() for _ in range(6)))
    print("peak:", peak)

    loop = asyncio.get_running_loop()
    print("executor:", await loop.run_in_executor(None, sum, range(1_000_001)))
    print("async comprehension:", [n async for n in numbers(10) if n % 2])


asyncio.run(main())
