# tries: to tell all that an earlier program could have changed of its surroundings
# right: held
import builtins
import gc
import json
import locale
import os
import resource
import signal
import sys
import threading
import time
import warnings

umask = os.umask(0)
os.umask(umask)
if umask != 0o022 or os.getcwd() != '/workspace':
    raise SystemExit(print(f'breached: umask {umask:o}, directory {os.getcwd()}') or 1)
with open('/proc/self/status') as file:
    status = dict(line.rstrip('\n').split(':\t', 1) for line in file)
seen = {
    'umask': umask, 'cwd': os.getcwd(), 'environ': dict(os.environ), 'nice': os.nice(0), 'path': sys.path,
    'argv': sys.argv, 'modules': sorted(sys.modules), 'builtins': sorted(vars(builtins)), 'len': str(len),
    'signals': [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
    'blocked': sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), 'recursion': sys.getrecursionlimit(),
    'pending': [status['SigPnd'], status['ShdPnd'], status['SigQ'], status['SigBlk'], status['SigIgn'], status['SigCgt']],
    'rlimits': [resource.getrlimit(number) for number in range(16)], 'affinity': sorted(os.sched_getaffinity(0)),
    'gc': [gc.isenabled(), gc.get_threshold()], 'switch': sys.getswitchinterval(), 'locale': locale.setlocale(locale.LC_ALL),
    'hooks': [sys.excepthook is sys.__excepthook__, threading.excepthook is threading.__excepthook__,
              sys.displayhook is sys.__displayhook__],
    'trace': [str(sys.gettrace()), str(sys.getprofile())], 'filters': len(warnings.filters),
    'json': [json.dumps.__module__, json.__file__], 'scheduler': os.sched_getscheduler(0), 'timer': signal.getitimer(0),
    'small': [1 + 1, 2 * 3, str(5), len('abc'), hash(7), [n * n for n in range(10)], (3).bit_length()],
    'text': ['a'.upper(), 'held'.encode().hex(), repr('x'), sys.intern('spoilt') == 'spoilt'],
    'files': {place: sorted(os.listdir(place)) for place in ('/workspace', '/tmp', '/dev/shm')},
    'descriptors': [fd for fd in range(64) if os.path.lexists(f'/proc/self/fd/{fd}')],
    'ids': [os.getpid(), os.getppid(), os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid(), os.getgroups()],
    'processes': sum(name.isdigit() for name in os.listdir('/proc')), 'threads': threading.active_count(),
    'zone': time.tzname, 'host': os.uname().nodename, 'bytecode': sys.dont_write_bytecode,
    'oom': open('/proc/self/oom_score_adj').read().strip(), 'dump': open('/proc/self/coredump_filter').read().strip(),
    'personality': open('/proc/self/personality').read().strip() if os.access('/proc/self/personality', os.R_OK) else '',
}
for name, value in seen.items():
    print(name, value)
print('held')
