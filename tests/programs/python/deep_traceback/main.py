"""An interpreter for tiny expressions, given a program that divides by zero deep inside."""


class Number:
    def __init__(self, value):
        self.value = value

    def evaluate(self, scope):
        return self.value


class Name:
    def __init__(self, name):
        self.name = name

    def evaluate(self, scope):
        return scope[self.name]


class Operation:
    def __init__(self, symbol, left, right):
        self.symbol, self.left, self.right = symbol, left, right

    def evaluate(self, scope):
        left = self.left.evaluate(scope)
        right = self.right.evaluate(scope)
        return apply(self.symbol, left, right)


def apply(symbol, left, right):
    if symbol == "/":
        return divide(left, right)
    return {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}[symbol](left, right)


def divide(left, right):
    return left // right


def run(programs):
    return [program.evaluate({"x": 6, "y": 6}) for program in programs]


good = Operation("*", Name("x"), Operation("+", Number(1), Number(2)))
bad = Operation("+", Number(1), Operation("/", Name("x"), Operation("-", Name("x"), Name("y"))))
print("good:", run([good]))
print("bad:", run([good, bad]))
