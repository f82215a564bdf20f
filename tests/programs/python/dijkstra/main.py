"""Shortest ways on a grid with walls and on a random road map, with heapq."""
import heapq


def shortest(neighbours, start):
    distance, previous = {start: 0}, {}
    heap = [(0, start)]
    while heap:
        so_far, here = heapq.heappop(heap)
        if so_far > distance[here]:
            continue
        for there, cost in neighbours(here):
            candidate = so_far + cost
            if candidate < distance.get(there, float("inf")):
                distance[there], previous[there] = candidate, here
                heapq.heappush(heap, (candidate, there))
    return distance, previous


def way(previous, goal):
    steps = [goal]
    while steps[-1] in previous:
        steps.append(previous[steps[-1]])
    return steps[::-1]


GRID = """\
S..#......
.#.#.####.
.#...#..#.
.#####.##.
......1..G
.####.####
......9...""".splitlines()
cells = {(row, column): cell for row, line in enumerate(GRID) for column, cell in enumerate(line)}


def steps_from(here):
    row, column = here
    for there in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
        cell = cells.get(there, "#")
        if cell != "#":
            yield there, int(cell) if cell.isdigit() else 1


start = next(place for place, cell in cells.items() if cell == "S")
goal = next(place for place, cell in cells.items() if cell == "G")
distance, previous = shortest(steps_from, start)
path = set(way(previous, goal))
print("cost to the goal:", distance[goal])
for row, line in enumerate(GRID):
    print("".join("*" if (row, column) in path and cell == "." else cell
                  for column, cell in enumerate(line)))

roads = {town: [] for town in range(3000)}
state = 1
for town in range(3000):
    for _ in range(4):
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        other, length = (state >> 33) % 3000, (state >> 20) % 97 + 1
        roads[town].append((other, length))
        roads[other].append((town, length))
distance, previous = shortest(roads.__getitem__, 0)
farthest = max(distance, key=lambda town: (distance[town], -town))
print("towns reached:", len(distance), "| sum of distances:", sum(distance.values()))
print("farthest:", farthest, "at", distance[farthest], "by", way(previous, farthest))
