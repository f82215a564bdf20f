"""Warnings and log records: which are shown, where, and in which form."""
import logging
import sys
import warnings


def old_function():
    warnings.warn("old_function is going away", DeprecationWarning, stacklevel=2)


warnings.warn("the input looks odd")
old_function()
for _ in range(3):
    warnings.warn("said once for this line", RuntimeWarning)
warnings.warn("never shown", PendingDeprecationWarning, stacklevel=99)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    old_function()
print(len(caught), caught[0].category.__name__, caught[0].lineno, caught[0].filename)

logging.warning("before any set-up")
logging.basicConfig(format="%(levelname)s|%(name)s|%(module)s.%(funcName)s:%(lineno)d|%(message)s",
                    stream=sys.stdout, level=logging.INFO, force=True)
log = logging.getLogger("shop.orders")


def check():
    log.debug("not shown")
    log.info("order %d of %s", 7, "ada")
    try:
        raise KeyError("price")
    except KeyError:
        log.exception("no price")


check()
print("stderr is flushed line by line", file=sys.stderr)
