# tries: to change all that the next program would find in the interpreter
# right: held
# then: surroundings.py
import atexit
import builtins
import gc
import json
import os
import random
import re
import resource
import signal
import sys
import threading
import warnings

held = print
os.umask(0o777)
os.chdir('/')
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
signal.setitimer(signal.ITIMER_REAL, 1000)
os.nice(19)
os.environ.clear()
os.environ['SPOILT'] = 'yes'
sys.path[:] = ['/spoilt']
builtins.len = lambda thing: 42
builtins.spoilt = True
json.dumps = lambda *args, **options: 'spoilt'
sys.modules['spoilt'] = re
sys.setrecursionlimit(5000)
sys.setswitchinterval(1)
resource.setrlimit(resource.RLIMIT_CPU, (1000, 1000))
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
gc.disable()
gc.unfreeze()
random.seed(0)
warnings.filters.clear()
sys.excepthook = threading.excepthook = None
sys.dont_write_bytecode = False
sys.settrace(lambda *arguments: None)
atexit.register(os.abort)
held('held', flush=True)
resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))
os.close(0)
os._exit(0)
