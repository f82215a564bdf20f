import math

from ..square import Square


def regular(corners, side):
    if corners == 4:
        return Square(side).area()
    return round(corners * side ** 2 / (4 * math.tan(math.pi / corners)), 6)
