"""Child processes driven by asyncio: pipes both ways, many at once, exit codes, a kill."""
import asyncio
import os
import signal
import sys


async def upper(text):
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys; sys.stdout.write(sys.stdin.read().upper())",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await child.communicate(text.encode())
    return child.returncode, output.decode()


async def exit_code(code):
    child = await asyncio.create_subprocess_shell(f"exit {code}")
    return await child.wait()


async def main():
    print(await upper("hello from a pipe"))

    child = await asyncio.create_subprocess_shell(
        "for n in 1 2 3; do echo line $n; done; echo problem >&2; exit 4",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )
    async for line in child.stdout:
        print("read:", line.decode().rstrip())
    print("stderr:", (await child.stderr.read()).decode().rstrip(), "code:", await child.wait())

    print("codes:", await asyncio.gather(*(exit_code(code) for code in range(8))))

    sleeper = await asyncio.create_subprocess_exec("sleep", "60")
    await asyncio.sleep(0.02)
    sleeper.terminate()
    print("terminated:", await sleeper.wait() == -signal.SIGTERM)

    stubborn = await asyncio.create_subprocess_exec(
        "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 60; done",
        stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )
    await stubborn.stdout.readline()
    stubborn.terminate()
    try:
        await asyncio.wait_for(stubborn.wait(), 0.05)
    except asyncio.TimeoutError:
        os.killpg(stubborn.pid, signal.SIGKILL)
    print("killed:", await stubborn.wait() == -signal.SIGKILL)


asyncio.run(main())
