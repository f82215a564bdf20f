"""Signals: alarms, signals to itself, masks, waiting, wake-up descriptors, signals to children."""
import os
import signal
import subprocess
import time

log = []


def remember(number, frame):
    log.append(signal.Signals(number).name)


for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
    signal.signal(number, remember)

signal.setitimer(signal.ITIMER_REAL, 0.02)
signal.pause()
print(log)

os.kill(os.getpid(), signal.SIGTERM)
print(log)
print(signal.getsignal(signal.SIGTERM) is remember, signal.getsignal(signal.SIGPIPE).name)


class Timeout(Exception):
    pass


def give_up(number, frame):
    raise Timeout(f"in {frame.f_code.co_name}")


def busy():
    while True:
        sum(range(100))


signal.signal(signal.SIGALRM, give_up)
signal.setitimer(signal.ITIMER_REAL, 0.03)
try:
    busy()
except Timeout as timeout:
    print("timeout", timeout)

try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("KeyboardInterrupt")

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
os.kill(os.getpid(), signal.SIGUSR1)
print("pending:", [number.name for number in signal.sigpending()], len(log))
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
print(log)

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
signal.raise_signal(signal.SIGUSR2)
print("waited for:", signal.Signals(signal.sigwait({signal.SIGUSR2})).name)
print("nothing more:", signal.sigtimedwait({signal.SIGUSR2}, 0.01))

child = subprocess.Popen(["sleep", "30"])
child.send_signal(signal.SIGTERM)
print("child:", child.wait(), log.count("SIGCHLD"))

pid = os.fork()
if pid == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(0)
print("forked child died of:", os.WTERMSIG(os.waitpid(pid, 0)[1]))

reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)
os.kill(os.getpid(), signal.SIGUSR1)
print("wake-up byte:", os.read(reader, 1)[0] == signal.SIGUSR1)
signal.set_wakeup_fd(-1)

started = time.monotonic()
signal.signal(signal.SIGALRM, remember)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
time.sleep(0.1)
signal.setitimer(signal.ITIMER_REAL, 0)
print("sleep went on through alarms:", time.monotonic() - started >= 0.1, log.count("SIGALRM") > 2)
