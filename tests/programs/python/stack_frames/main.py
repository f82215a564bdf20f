"""The call stack, as far as it is this program's."""
import inspect
import sys
import traceback


def inner():
    own = [frame for frame in traceback.extract_stack() if frame.filename == __file__]
    for frame in own:
        print(f"{frame.filename}:{frame.lineno} {frame.name}: {frame.line}")
    return len([frame for frame in inspect.stack() if frame.filename == __file__])


def outer():
    return inner()


print("depth:", outer())
print("here:", sys._getframe().f_code.co_name)
try:
    [int(text) for text in ("1", "two")]
except ValueError as error:
    frame = error.__traceback__
    print(frame.tb_frame.f_code.co_name, frame.tb_lineno, frame.tb_frame.f_globals is globals())
