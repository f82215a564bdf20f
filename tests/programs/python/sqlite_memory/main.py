"""An in-memory database: constraints, joins, a window function and a recursive query."""
import sqlite3

db = sqlite3.connect(":memory:")
db.row_factory = sqlite3.Row
db.execute("PRAGMA foreign_keys = ON")
db.executescript(
    """
    CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE book (
        id INTEGER PRIMARY KEY,
        author_id INTEGER NOT NULL REFERENCES author(id),
        title TEXT NOT NULL,
        year INTEGER CONSTRAINT after_printing CHECK (year > 1450)
    );
    """
)
authors = ["Lem", "Le Guin", "Borges"]
db.executemany("INSERT INTO author (name) VALUES (?)", [(name,) for name in authors])
db.executemany(
    "INSERT INTO book (author_id, title, year) VALUES (?, ?, ?)",
    [
        (1, "Solaris", 1961),
        (1, "Fiasco", 1986),
        (2, "The Dispossessed", 1974),
        (2, "The Lathe of Heaven", 1971),
        (3, "Ficciones", 1944),
    ],
)
db.commit()

for row in db.execute(
    """
    SELECT name, title, year,
           rank() OVER (PARTITION BY author_id ORDER BY year) AS nth
    FROM book JOIN author ON author.id = author_id
    ORDER BY name, year
    """
):
    print(f"{row['name']:<8} #{row['nth']} {row['title']} ({row['year']})")

for statement in (
    "INSERT INTO book (author_id, title, year) VALUES (99, 'Nobody', 2000)",
    "INSERT INTO author (name) VALUES ('Lem')",
    "INSERT INTO book (author_id, title, year) VALUES (1, 'Too old', 1066)",
    "SELECT * FROM missing",
):
    try:
        with db:
            db.execute(statement)
    except sqlite3.Error as error:
        print(f"{type(error).__name__}: {error}")

fibonacci = db.execute(
    """
    WITH RECURSIVE fib(n, a, b) AS (
        SELECT 1, 0, 1 UNION ALL SELECT n + 1, b, a + b FROM fib WHERE n < 20
    ) SELECT group_concat(a, ' ') FROM fib
    """
).fetchone()[0]
print(fibonacci)

db.create_function("reverse", 1, lambda text: text[::-1], deterministic=True)
print([row[0] for row in db.execute("SELECT reverse(name) FROM author ORDER BY id")])


class Longest:
    def __init__(self):
        self.best = ""

    def step(self, value):
        self.best = max(self.best, value, key=len)

    def finalize(self):
        return self.best


db.create_aggregate("longest", 1, Longest)
print(db.execute("SELECT longest(title) FROM book").fetchone()[0])
