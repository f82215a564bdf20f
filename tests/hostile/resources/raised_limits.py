# tries: to raise its own limits and those of others
# right: held
import os
import resource

for name in ('CORE', 'NOFILE', 'FSIZE', 'MSGQUEUE', 'MEMLOCK', 'SIGPENDING', 'NICE', 'RTPRIO'):
    number = {'CORE': 4, 'NOFILE': 7, 'FSIZE': 1, 'MSGQUEUE': 12, 'MEMLOCK': 8, 'SIGPENDING': 11, 'NICE': 13, 'RTPRIO': 14}[name]
    soft, hard = resource.getrlimit(number)
    if hard == resource.RLIM_INFINITY:
        raise SystemExit(print(f'breached: {name} is without limit') or 1)
    for attempt in (lambda: resource.setrlimit(number, (soft, hard + 1)), lambda: resource.prlimit(os.getpid(), number, (hard + 1, hard + 1)),
                    lambda: resource.prlimit(1, number, (soft, hard))):
        try:
            attempt()
            raise SystemExit(print(f'breached: {name} was raised') or 1)
        except (ValueError, PermissionError, ProcessLookupError):
            pass
# One byte: no file, and no handler either, which 0 would let run (core(5)).
if resource.getrlimit(resource.RLIMIT_CORE) != (1, 1):
    raise SystemExit(print('breached: a core can be dumped') or 1)
print('held')
