# tries: to sleep for ever, with every signal ignored and blocked, in a session of its own
# right: timed_out
# limits: {"wall_time_ms": 400}
import os
import signal
import time

if os.fork() == 0:
    os.setsid()
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
for fd in (0, 1, 2):
    os.close(fd)
while True:
    time.sleep(600)
