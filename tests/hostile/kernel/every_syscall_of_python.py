# tries: to make every system call by number from an interpreter, to find one that the profile does not say
# right: held
# stdin: {syscalls}
import ctypes
import errno
import os
import signal
import sys

libc = ctypes.CDLL(None, use_errno=True)


def call(number, arguments):
    ctypes.set_errno(0)
    if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) != -1:
        return 0
    return ctypes.get_errno()


def call_in_child(number, arguments):
    """The error, or the signal that ended the child, as a negative number."""
    child = os.fork()
    if child == 0:
        self = os.getpid()
        # What is allowed may wait for ever.
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        error = call(number, arguments)
        os._exit(error if os.getpid() == self else 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


made = 0
for line in sys.stdin:
    entry, number, answer, *arguments = line.split()
    number, arguments = int(number), [int(argument) for argument in arguments]
    # i386 needs instructions, and is tried by a program that has them. What vfork does, an interpreter cannot.
    if entry != 'native' or number == 58:
        continue
    number -= (number >> 31) << 32
    made += 1
    if answer == 'allowed':
        end = call_in_child(number, arguments)
        right = end not in (errno.EPERM, -signal.SIGSYS)
    elif answer == 'killed':
        end = call_in_child(number, arguments)
        right = end == -signal.SIGSYS
    elif number in (335, 336):
        # The kernel's own, for its trampolines, and no filter is asked (uretprobe, uprobe).
        end = call_in_child(number, arguments)
        right = end in (int(answer), errno.ENXIO, -signal.SIGILL)
    else:
        end = call(number, arguments)
        right = end == int(answer)
    if not right:
        print(f'breached: {line.strip()}: {end}')
if made < 1000:
    print('breached: few calls were made')
print('held')
