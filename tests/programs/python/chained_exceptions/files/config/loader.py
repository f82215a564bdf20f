import json


def parse(text):
    return json.loads(text)


def report():
    raise RuntimeError("could not report the problem")
