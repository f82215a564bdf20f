# tries: to return to the launcher twice, in a child as well
# right: held
# then: surroundings.py
import os
import sys

child = os.fork()
if child == 0:
    # The child's way leads through the launcher's end, with nobody who waits for it there.
    print('child', flush=True)
    sys.exit(0)
os.waitpid(child, 0)
print('held')
