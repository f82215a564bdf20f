"""The user's own statistics.py comes before the library's of the same name."""
import statistics

print(statistics.mean([1, 2, 3]))
print(statistics.__file__)
print(hasattr(statistics, "stdev"))
