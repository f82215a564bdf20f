"""What happens after the last line: threads, exit handlers, finalizers, in that order."""
import atexit
import sys
import threading
import time
import weakref


class Resource:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print(f"__del__ of {self.name}", flush=True)


def goodbye(name, *, polite=False):
    print("goodbye", name, "(polite)" if polite else "", flush=True)


@atexit.register
def registered_first():
    print("registered first, called last", flush=True)


atexit.register(goodbye, "world", polite=True)
atexit.register(lambda: print("registered last, called first", flush=True))
cancelled = atexit.register(lambda: print("never called"))
atexit.unregister(cancelled)


def straggler():
    time.sleep(0.05)
    print("a thread that outlived the main program", flush=True)


temporary = Resource("a temporary")
del temporary
kept = Resource("a global")
weakref.finalize(kept, print, "weakref.finalize runs as an exit handler", flush=True)
threading.Thread(target=straggler).start()
print("last line of the program")
sys.stdout.write("written without a newline and not flushed;")
