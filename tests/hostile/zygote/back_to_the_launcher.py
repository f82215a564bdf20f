# tries: to use the launcher and the shim, which are in its memory, to be a zygote itself
# right: held
# then: surroundings.py
import ctypes
import os
import sys

# Every frame above this one, with all that it knows.
frame, found = sys._getframe(), []
while frame:
    found += [value for space in (frame.f_globals, frame.f_locals) for value in dict(space).values()]
    frame.f_globals['spoilt'] = True
    frame = frame.f_back
with open('/proc/self/maps') as maps:
    shims = {line.split()[5] for line in maps if '/.soulbox/' in line}
libraries = [ctypes.CDLL(path) for path in shims]
functions = [getattr(library, name) for library in libraries for name in dir(library) if not name.startswith('_')]
for name in ('soulbox_serve', 'soulbox_receive', 'soulbox_zygote', 'serve', 'zygote_main', 'soulbox_main'):
    for library in libraries:
        try:
            functions.append(getattr(library, name))
        except AttributeError:
            pass
functions += [value for value in found if isinstance(value, ctypes._CFuncPtr)]
for function in functions:
    child = os.fork()
    if child == 0:
        try:
            function()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
print('held')
