"""The call stack holds this program's frames and no others."""
import inspect
import sys
import traceback


def inner():
    for frame in traceback.extract_stack():
        print(f"{frame.filename}:{frame.lineno} {frame.name}: {frame.line}")
    return len(inspect.stack())


def outer():
    return inner()


print("depth:", outer())
print("above the module:", sys._getframe().f_back)
try:
    [int(text) for text in ("1", "two")]
except ValueError as error:
    frame = error.__traceback__
    print(frame.tb_frame.f_code.co_name, frame.tb_lineno, frame.tb_frame.f_globals is globals())
