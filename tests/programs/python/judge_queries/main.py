"""Range-sum queries with updates on a Fenwick tree, read with input() until the end."""

size = int(input())
tree = [0] * (size + 1)


def add(position, amount):
    while position <= size:
        tree[position] += amount
        position += position & -position


def prefix(position):
    total = 0
    while position:
        total += tree[position]
        position &= position - 1
    return total


for position, value in enumerate(map(int, input().split()), 1):
    add(position, value)

answers = 0
while True:
    try:
        kind, first, second = input().split()
    except EOFError:
        break
    if kind == "add":
        add(int(first), int(second))
    else:
        answers += 1
        print(prefix(int(second)) - prefix(int(first) - 1))
print("answered", answers)
