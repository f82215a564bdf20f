"""Ends with a status of its own choice, after the clean-up has run."""
import sys


def close_books():
    try:
        print("opening")
        for day in range(5):
            if day == 3:
                sys.exit(3)
            print("day", day)
    finally:
        print("closing")


try:
    close_books()
except SystemExit as leaving:
    print("leaving with", leaving.code)
    print("fatal: the books do not balance", file=sys.stderr)
    raise
