"""What the zygote of python-data loads beside the modules of Python: numpy, pandas, and matplotlib for files.

Everything here runs before any fork. What a first use builds is built here, and not in every fork.
"""

import io
import os

import numpy
import pandas

DIRECTORY = os.environ.get("MPLCONFIGDIR", "")


def import_matplotlib():
    """Imports it with the font cache that was built with the bundle.

    matplotlib takes no directory that it cannot write to, and there is none in a zygote. It asks once, and
    keeps the answer.
    """
    access = os.access
    os.access = lambda path, mode, **options: path == DIRECTORY or access(path, mode, **options)
    try:
        import matplotlib.pyplot
    finally:
        os.access = access
    return matplotlib.pyplot


def warm_up(pyplot):
    """Uses a little of everything, as the first lines of most programs do."""
    frame = pandas.DataFrame({"key": ["a", "b", "a"], "value": [1.0, 2.0, numpy.nan]})
    text = frame.groupby("key").mean().to_csv()
    repr(pandas.read_csv(io.StringIO(text)).describe())
    pandas.Series([1, 2, 3]).mean()
    numpy.linalg.solve(numpy.eye(2), numpy.ones(2))
    figure, axes = pyplot.subplots()
    axes.plot([1, 2], [3, 4], label="one")
    axes.set_title("title")
    axes.set_xlabel("x")
    axes.legend()
    figure.savefig(io.BytesIO(), format="png")
    pyplot.close("all")


warm_up(import_matplotlib())
# As `random` does by itself: no two forks shall draw the same numbers.
os.register_at_fork(after_in_child=numpy.random.seed)
