"""A Fibonacci function without an end: the program fails with a RecursionError."""


def fibonacci(n):
    return fibonacci(n - 1) + fibonacci(n - 2)


print("computing", flush=True)
print(fibonacci(30))
print("never reached")
