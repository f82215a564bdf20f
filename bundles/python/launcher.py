"""The zygote of the Python bundle: warms CPython up, and becomes the program in every fork.

Runs as `python3 launcher.py MODULE...` inside the bundle's container. All of it happens before any fork,
but for what `sandbox` does. It runs no program itself: `soulbox_serve` returns in the main process of a
sandbox only, when every privilege is gone.

A fork pays for each page of memory that it is the first to write to, and CPython writes wherever it looks:
every object counts its references. So what is the same for nearly every program is made before the fork, and
what need not be done is not done.
"""

import os

# What modules want done in a forked process. Theirs are the only calls that come after a fork: CPython's own
# (`PyOS_AfterFork_Child`) make new locks for those that other threads may have held, and there were none.
fork_handlers = []
register_at_fork = os.register_at_fork


def note_fork_handler(**handlers):
    register_at_fork(**handlers)
    if "after_in_child" in handlers:
        fork_handlers.append(handlers["after_in_child"])


os.register_at_fork = note_fork_handler

import atexit
import ctypes
import errno
import gc
import importlib
import importlib.machinery
import io
import sys
import threading
import time
import types

SHIM = "/.soulbox/libsoulbox.so"

# Where a program is that has no other name.
MAIN = "/workspace/main.py"

# The environment of the zygote, which is that of every program that asks for no other, in a job's order.
ENVIRONMENT = [name + b"=" + value for name, value in sorted(os.environb.items())]

# A job that asks for nothing else: the program's path and the environment, each ended by NUL.
USUAL = b"\0".join([MAIN.encode(), *ENVIRONMENT, b""])

# Unrelated to any program, but it makes the interpreter build what its first compile and its first
# exception need, which would otherwise be built anew in every fork.
WARM_UP = b'''
class Point:
    y: float = 0.5

    def __init__(self, x):
        self.x = x

    def scaled(self, factor, *rest, **options):
        return [f"{self.x * factor:>4} {value!r}" for value in (self.y, *rest) if value is not None]

def fibonacci(n):
    a, b = 0, 1
    while n > 0:
        a, b, n = b, a + b, n - 1
        yield a

try:
    with open("/dev/null") as null:
        words = {line.strip().upper(): len(line) for line in null} or {"a": 1}
    print(*Point(1).scaled(2, "three", four=4), sum(fibonacci(20)), words)
    assert sorted(words, key=lambda word: -words[word]) and not words.get("b")
    words["b"]
except (KeyError, ValueError) as error:
    print(f"{error!r:>20}")
else:
    raise SystemExit(1)
finally:
    del words
'''


class Sandboxed(ctypes.Structure):
    """The program to run; `struct Sandboxed` of the shim."""

    _fields_ = [
        ("strings", ctypes.c_void_p),
        ("strings_len", ctypes.c_size_t),
        ("args", ctypes.c_uint32),
        ("variables", ctypes.c_uint32),
    ]


def open_streams():
    """Makes the standard streams anew as CPython makes them for pipes, which is what programs get.

    CPython looks at a descriptor once, when it makes the stream. Those of the zygote are a log, so they are
    made over a pipe, and the log is put back. Standard output is flushed at every line: what a program has
    printed must not be lost when it is ended at a limit.
    """
    saved = [os.dup(fd) for fd in (0, 1, 2)]
    ends = os.pipe()
    for fd, end in ((0, ends[0]), (1, ends[1]), (2, ends[1])):
        os.dup2(end, fd)

    def stream(fd, mode, errors, **options):
        raw = io.FileIO(fd, mode, closefd=False)
        name = ("<stdin>", "<stdout>", "<stderr>")[fd]
        raw.name = name
        buffer = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
        text = io.TextIOWrapper(buffer, encoding="utf-8", errors=errors, newline="\n" if fd else None, **options)
        text.mode = mode
        return text

    sys.stdin = sys.__stdin__ = stream(0, "r", "surrogateescape")
    sys.stdout = sys.__stdout__ = stream(1, "w", "surrogateescape", line_buffering=True)
    sys.stderr = sys.__stderr__ = stream(2, "w", "backslashreplace", line_buffering=True)
    for fd, copy in enumerate(saved):
        os.dup2(copy, fd)
    for fd in (*saved, *ends):
        os.close(fd)


def main_module(path):
    """What a program's names are in, as if `python3 FILE` had made it; and what else tells a program its path."""
    sys.argv = [path]
    sys.orig_argv = [sys.executable, path]
    sys.path[0] = os.path.dirname(path)
    module = types.ModuleType("__main__")
    module.__file__ = path
    module.__cached__ = None
    module.__builtins__ = sys.modules["builtins"]
    module.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    return module


def unusual_main(strings, count):
    """The main module of a program with another path, other arguments or other variables."""
    strings = strings.split(b"\0")
    arguments = [os.fsdecode(argument) for argument in strings[:count]]
    variables = strings[count:-1]
    module = main_module(arguments[0])
    sys.argv += arguments[1:]
    sys.orig_argv += arguments[1:]
    if variables != ENVIRONMENT:
        wanted = dict(variable.split(b"=", 1) for variable in variables)
        for name in [name for name in os.environb if name not in wanted]:
            del os.environb[name]
        os.environb.update(wanted)
    return module


def read(path):
    with io.FileIO(path) as file:
        return file.readall()


def run(module, path, source):
    """Runs a program as `python3 FILE` would, and returns its exit code."""
    try:
        exec(compile(source(path), path, "exec", dont_inherit=True), module.__dict__)
        return 0
    except SystemExit as exit:
        return exit_code(exit.code)
    except BaseException as error:
        # The first entry is this function's.
        error.__traceback__ = error.__traceback__.tb_next
        sys.excepthook(type(error), error, error.__traceback__)
        return 1


def exit_code(code):
    """What CPython makes of the value of a SystemExit."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def tell_of_end():
    """Waits for threads and runs exit handlers."""
    try:
        threading._shutdown()
    except BaseException as error:
        sys.unraisablehook(types.SimpleNamespace(
            exc_type=type(error), exc_value=error, exc_traceback=error.__traceback__,
            err_msg="Exception ignored in", object=threading))
    atexit._run_exitfuncs()


def settle(module, code):
    """Flushes and finalizes what a program has left, and returns the exit code."""
    code = flush(code)
    finalize(module)
    # Garbage that has outlived no collection is young.
    gc.collect(1 if gc.get_stats()[1:] == collections else 2)
    return flush(code)


def waits_for_end():
    """Whether anybody wants to know of the end: another thread, or a handler."""
    return (
        len(threading._active) > 1
        or threading._limbo
        or getattr(threading, "_threading_atexits", None)
        or atexit._ncallbacks()
    )


def finalize(module):
    """Drops the names of a module in CPython's order, so that the finalizers of what they held run."""
    names = vars(module)
    for private in (True, False):
        for name in [name for name in names if name != "__builtins__" and name.startswith("_") == private]:
            names[name] = None


def flush(code):
    """Flushes the standard streams; CPython exits with 120 when that fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException:
            code = 120
    return code


def take(sandboxed, module):
    """The main module of the program that is described, for which there is one already if it is a usual one."""
    strings = ctypes.string_at(sandboxed.strings, sandboxed.strings_len)
    if strings != USUAL:
        module = unusual_main(strings, sandboxed.args)
    sys.modules["__main__"] = module
    return module


def rehearse(sandboxed, module):
    """Runs a program for the copies of memory that every program makes: what it is does not matter."""
    global collections
    usual = ctypes.create_string_buffer(USUAL, len(USUAL))
    sandboxed.strings, sandboxed.strings_len = ctypes.addressof(usual), len(USUAL)
    take(sandboxed, module)
    other = types.ModuleType("__main__")
    code = run(other, sys.argv[0], lambda _: read(os.devnull) + WARM_UP)
    waits_for_end()
    settle(other, code)
    time.process_time()
    collections = gc.get_stats()[1:]


def sandbox(receive, sandboxed, module, has_time):
    """Lives the life of a fork."""
    for handler in fork_handlers:
        handler()
    threading._main_thread._native_id = threading.get_native_id()
    if has_time:
        rehearse(sandboxed, module)
    receive(sandboxed)
    module = take(sandboxed, module)
    code = run(module, sys.argv[0], read)
    if waits_for_end():
        tell_of_end()
    code = settle(module, code)
    # The kernel counts the time of a process that runs when somebody asks for it.
    time.process_time()
    # It leaves without taking apart the modules of the zygote, which would only copy their memory.
    os._exit(code)


def main():
    global collections
    for name in sys.argv[1:]:
        importlib.import_module(name)
    open_streams()
    os.register_at_fork = register_at_fork
    fork_handlers.remove(threading._after_fork)
    shim = ctypes.PyDLL(SHIM)
    serve, receive, sandboxed = shim.soulbox_serve, shim.soulbox_receive, Sandboxed()
    receive.argtypes, receive.restype = [ctypes.POINTER(Sandboxed)], None
    module = main_module(MAIN)
    out, sys.stdout = sys.stdout, io.StringIO()
    collections = None
    for _ in range(3):
        rehearse(sandboxed, module)
    sys.stdout = out
    gc.collect()
    gc.freeze()
    collections = gc.get_stats()[1:]
    status = serve()
    if status < 0:
        if status != -errno.EPIPE:
            os.write(2, f"the zygote ends: {os.strerror(-status)}\n".encode())
        os._exit(0 if status == -errno.EPIPE else 1)
    sandbox(receive, sandboxed, module, has_time=status == 1)


main()
