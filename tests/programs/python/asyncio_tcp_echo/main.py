"""A TCP server on the loopback interface, five clients, and a Unix socket beside it."""
import asyncio
import os


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(b"echo " + line[::-1].lstrip(b"\n") + b"\n")
        await writer.drain()
    writer.close()


async def client(connect, name):
    reader, writer = await connect()
    answers = []
    for number in range(3):
        writer.write(f"{name}-{number}\n".encode())
        await writer.drain()
        answers.append((await reader.readline()).decode().rstrip())
    writer.close()
    await writer.wait_closed()
    return answers


async def bulk(connect, size):
    """Large enough that neither side can hold it in the socket's buffers."""
    reader, writer = await connect()
    line = b"x" * 1000 + b"\n"

    async def send():
        for _ in range(size):
            writer.write(line)
            await writer.drain()
        writer.write_eof()

    async def receive():
        total = 0
        while chunk := await reader.read(65536):
            total += len(chunk)
        return total

    _, total = await asyncio.gather(send(), receive())
    writer.close()
    return total


async def main():
    tcp = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = tcp.sockets[0].getsockname()[1]

    def by_tcp():
        return asyncio.open_connection("127.0.0.1", port)

    for answers in await asyncio.gather(*(client(by_tcp, f"tcp{i}") for i in range(5))):
        print(*answers, sep=" | ")
    print("bulk bytes:", await bulk(by_tcp, 2000))
    tcp.close()
    await tcp.wait_closed()
    try:
        await by_tcp()
    except ConnectionRefusedError:
        print("closed: connection refused")

    unix = await asyncio.start_unix_server(serve, "echo.sock")
    print(*await client(lambda: asyncio.open_unix_connection("echo.sock"), "unix"), sep=" | ")
    unix.close()
    await unix.wait_closed()
    if os.path.exists("echo.sock"):
        os.unlink("echo.sock")


asyncio.run(main())
