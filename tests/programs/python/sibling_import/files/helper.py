"""A module beside main.py."""
CALLS = []


def greet(name):
    CALLS.append(name)
    return f"hello, {name}"
