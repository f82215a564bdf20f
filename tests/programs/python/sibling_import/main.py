"""Imports a module and a package that lie beside this file."""
import importlib
import sys

import helper
import shapes
from helper import greet as hello
from shapes.circle import Circle
from shapes.more import polygons

print(hello("reader"))
print(helper.__name__, helper.__file__, helper.CALLS)
print(shapes.__all__, shapes.__file__)
print(f"{Circle(2).area():.4f}", polygons.regular(6, 1.0), polygons.__package__)
print(importlib.import_module("shapes.square").Square(3).area())

from shapes import *

print(Square(4).area())
print(sorted(name for name in sys.modules if name.split(".")[0] in ("helper", "shapes")))
try:
    import no_such_module_here
except ModuleNotFoundError as error:
    print(error)
try:
    from helper import missing
except ImportError as error:
    print(type(error).__name__, error.name)

with open("made_now.py", "w") as source:
    source.write("VALUE = 'written a moment ago'\n")
importlib.invalidate_caches()
import made_now

print(made_now.VALUE)
