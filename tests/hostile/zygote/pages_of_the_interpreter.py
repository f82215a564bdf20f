# tries: to change the interpreter's own memory, also where it is read-only, for those who are forked after it
# right: held
# then: surroundings.py
import ctypes
import os
import sys


def maps():
    with open('/proc/self/maps') as file:
        for line in file:
            fields = line.split(None, 5)
            start, end = (int(part, 16) for part in fields[0].split('-'))
            yield start, end, fields[1], fields[5].strip() if len(fields) > 5 else ''


# What is shared and can be written would be everybody's.
for start, end, rights, name in maps():
    if rights[1] == 'w' and rights[3] == 's':
        raise SystemExit(print(f'breached: {name} is shared') or 1)
# The numbers that all programs count with.
ctypes.c_ssize_t.from_address(id(2) + 8).value
target = [(start, name) for start, end, rights, name in maps() if rights.startswith('r-x') and 'libc' in name or 'python' in name and rights.startswith('r-x')]
memory = os.open('/proc/self/mem', os.O_RDWR)
for start, name in target:
    # The first page of the code of a library has nothing that this process still needs.
    try:
        os.pwrite(memory, os.pread(memory, 64, start + 64)[::-1], start + 64)
    except OSError:
        pass
# A string that is a constant in every module, and the documentation of a builtin.
for thing in ('utf-8', sys.intern('spoilt'), len.__doc__):
    size = sys.getsizeof(thing)
    ctypes.memmove(id(thing) + size - 3, b'X', 1)
os.write(1, b'held\n')
os._exit(0)
