"""A plain fork server: a warm Python forks for each program. It isolates nothing, and is here to be compared with.

    fork_server.py serve SOCKET     reads a program from each connection, and writes what it prints to it
    fork_server.py loop COUNT CODE  forks, runs and waits so often; prints the cpu seconds that it took
"""

import os
import resource
import socket
import sys


def run(code):
    exec(compile(code, "<program>", "exec"), {"__name__": "__main__"})
    sys.stdout.flush()


def serve(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(4096)
    print("ready", flush=True)
    running = 0
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            status = 1
            try:
                listener.close()
                code = connection.makefile().read()
                os.dup2(connection.fileno(), 1)
                run(code)
                status = 0
            finally:
                os._exit(status)
        connection.close()
        running += 1
        while running and os.waitpid(-1, os.WNOHANG)[0]:
            running -= 1


def loop(count, code):
    def cpu_seconds():
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in used)

    null = os.open(os.devnull, os.O_WRONLY)
    before = cpu_seconds()
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            os.dup2(null, 1)
            run(code)
            os._exit(0)
        os.waitpid(pid, 0)
    print(cpu_seconds() - before)


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    loop(int(sys.argv[2]), sys.argv[3])
