"""A command line: options, repeated options, a subcommand, text that needs no quoting."""
import argparse
import sys

parser = argparse.ArgumentParser(description="count things")
parser.add_argument("-v", "--verbose", action="count", default=0)
parser.add_argument("--tag", action="append")
commands = parser.add_subparsers(dest="command", required=True)
repeat = commands.add_parser("repeat")
repeat.add_argument("--times", type=int, default=1)
repeat.add_argument("words", nargs="+")

options = parser.parse_args()
print(len(sys.argv), sys.argv[0])
print("verbosity:", options.verbose, "tags:", options.tag)
for word in options.words:
    print(repr(word), "->", " ".join([word] * options.times))
print("usage starts with:", parser.format_usage().split()[:2])
