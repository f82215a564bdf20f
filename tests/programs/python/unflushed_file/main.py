"""Text left in the buffers of files that nobody closed is written when the program ends."""
import os
import sys

with open("notes.txt", "w") as notes:
    notes.write("kept")
    print("size before close:", os.path.getsize("notes.txt"))
print("size after close:", os.path.getsize("notes.txt"))

sys.stdout.flush()
child = os.fork()
if child == 0:
    left_open = open("by_child.txt", "w")
    left_open.write("the child never closed this")
    sys.exit(6)
print("child's status:", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(open("by_child.txt").read())

report = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=65536)
report.write("shown last: the buffer of a file that is never closed\n")
print("shown first, although printed later", flush=True)
