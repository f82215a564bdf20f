"""A program that looks at itself."""
import inspect
import linecache
import os
import sys


def area(width: float, height: float = 1.0) -> float:
    """Area of a rectangle."""
    # this comment belongs to the source, too
    return width * height


class Stack(list):
    """A list that is pushed."""

    def push(self, item):
        self.append(item)
        return self


double = lambda value: value * 2

print(inspect.getsource(area), end="")
print(inspect.getsource(Stack.push), end="")
print(inspect.getsource(Stack).splitlines()[0])
print(inspect.getsource(double), end="")
print(inspect.signature(area), "|", inspect.getdoc(area))
print(inspect.getsourcefile(area), inspect.getsourcelines(area)[1])
print(inspect.getmodule(area) is sys.modules["__main__"], area.__module__)
print(__name__, __file__, __package__, __spec__)
print(__doc__)
print(sys.argv, sys.path[0], os.getcwd())
print(area.__code__.co_filename, area.__code__.co_firstlineno)
print(linecache.getline(__file__, 1), end="")
print(len(open(__file__).read().splitlines()), "lines")
print(sorted(name for name in globals() if not name.startswith("__")))
print(sys.modules["__main__"].area(3, 4), eval("area(2)"), vars()["area"] is area)
