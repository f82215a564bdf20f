"""Reads names in several scripts from standard input and turns them round."""
import sys
import unicodedata


def graphemes(text):
    """Groups a base character with the combining marks after it."""
    groups = []
    for character in text:
        if groups and unicodedata.combining(character):
            groups[-1] += character
        else:
            groups.append(character)
    return groups


greeting = input("")
print(f"{greeting!r} has {len(greeting)} characters")
for number, line in enumerate(sys.stdin, 1):
    line = line.rstrip("\n")
    groups = graphemes(line)
    print(f"{number}. {line} → {''.join(reversed(groups))} ({len(line)}/{len(groups)})")
try:
    input()
except EOFError as error:
    print("end of input:", error)
