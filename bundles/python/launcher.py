"""The zygote of the Python bundle: warms CPython up, and becomes the program in every fork.

Runs as `python3 launcher.py MODULE...` inside the bundle's container. All of it happens before any fork,
but for what `run` does in the sandbox. It runs no program itself: `soulbox_serve` returns in the main
process of a sandbox only, when every privilege is gone.
"""

import atexit
import ctypes
import errno
import gc
import importlib
import importlib.machinery
import io
import os
import sys
import threading
import types

SHIM = "/.soulbox/libsoulbox.so"

# The environment of the zygote, which is that of every program that asks for no other.
ENVIRONMENT = {name + b"=" + value for name, value in os.environb.items()}

# Unrelated to any program, but it makes the interpreter build what its first compile and its first
# exception need, which would otherwise be built anew in every fork.
WARM_UP = '''
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
    print(*Point(1).scaled(2, "three", four=4), sum(fibonacci(20)), words, file=OUT)
    assert sorted(words, key=lambda word: -words[word]) and not words.get("b")
    words["b"]
except (KeyError, ValueError) as error:
    print(f"{error!r:>20}", file=OUT)
else:
    raise SystemExit(1)
finally:
    del words
'''


class Hooks(ctypes.Structure):
    """What the shim calls around a fork; `struct Hooks` of the shim."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("before_fork", "after_fork_parent", "after_fork_child")]


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


def address(function):
    """The address of a function of the C API."""
    return ctypes.cast(getattr(ctypes.pythonapi, function), ctypes.c_void_p).value


def serve():
    """Serves forks until there is a program to run, and returns its arguments and environment."""
    shim = ctypes.PyDLL(SHIM)
    hooks = Hooks(address("PyOS_BeforeFork"), address("PyOS_AfterFork_Parent"), address("PyOS_AfterFork_Child"))
    sandboxed = Sandboxed()
    serve = shim.soulbox_serve
    arguments = ctypes.byref(hooks), ctypes.byref(sandboxed)
    gc.collect()
    gc.freeze()
    status = serve(*arguments)
    if status < 0:
        if status != -errno.EPIPE:
            os.write(2, f"the zygote ends: {os.strerror(-status)}\n".encode())
        os._exit(0 if status == -errno.EPIPE else 1)
    strings = ctypes.string_at(sandboxed.strings, sandboxed.strings_len).split(b"\0")
    return strings[: sandboxed.args], strings[sandboxed.args : sandboxed.args + sandboxed.variables]


def set_environment(variables):
    """Makes the environment of the process what the job says, and nothing else."""
    if set(variables) == ENVIRONMENT:
        return
    wanted = dict(variable.split(b"=", 1) for variable in variables)
    for name in [name for name in os.environb if name not in wanted]:
        del os.environb[name]
    os.environb.update(wanted)


def run(arguments):
    """Runs the program as `python3 FILE` would, and returns its exit code."""
    path = os.fsdecode(arguments[0])
    sys.argv = [os.fsdecode(argument) for argument in arguments]
    sys.orig_argv = [sys.executable, *sys.argv]
    sys.path[0] = os.path.dirname(path)
    module = types.ModuleType("__main__")
    module.__file__ = path
    module.__cached__ = None
    module.__builtins__ = sys.modules["builtins"]
    module.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    sys.modules["__main__"] = module
    try:
        with io.FileIO(path) as file:
            source = file.readall()
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
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


def finish(code):
    """Ends the process as far as a program can see it end: threads, exit handlers, finalizers, buffers.

    Then it leaves, without taking apart the modules of the zygote, which would only copy their memory.
    """
    try:
        threading._shutdown()
    except BaseException as error:
        sys.unraisablehook(types.SimpleNamespace(
            exc_type=type(error), exc_value=error, exc_traceback=error.__traceback__,
            err_msg="Exception ignored in", object=threading))
    atexit._run_exitfuncs()
    code = flush(code)
    finalize(sys.modules["__main__"])
    gc.collect()
    os._exit(flush(code))


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


def main():
    for name in sys.argv[1:]:
        importlib.import_module(name)
    open_streams()
    for _ in range(3):
        exec(compile(WARM_UP, "/warm-up", "exec", dont_inherit=True), {"OUT": io.StringIO(), "__name__": "warm_up"})
    # The parser and the import system have seen nothing of this program's name yet.
    arguments, variables = serve()
    set_environment(variables)
    finish(run(arguments))


main()
