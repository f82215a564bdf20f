"""sys.exit with a text: it goes to standard error, and the status is 1."""
import sys

print("checking the answer")
sys.stdout.write("no newline after this")
sys.exit("error: 41 is not the answer")
