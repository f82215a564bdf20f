"""A database on disk: write-ahead log, transactions, a second connection, locking, backup."""
import os
import sqlite3

PATH = "bank.db"


def connect():
    return sqlite3.connect(PATH, timeout=0.05, isolation_level=None)


first = connect()
print("journal:", first.execute("PRAGMA journal_mode = WAL").fetchone()[0])
first.execute("CREATE TABLE account (owner TEXT PRIMARY KEY, cents INTEGER NOT NULL)")
first.executemany("INSERT INTO account VALUES (?, ?)", [("ada", 10_000), ("bob", 500)])

second = connect()
first.execute("BEGIN IMMEDIATE")
first.execute("UPDATE account SET cents = cents - 2500 WHERE owner = 'ada'")
print("seen by the other connection:", dict(second.execute("SELECT * FROM account")))
try:
    second.execute("UPDATE account SET cents = 0")
except sqlite3.OperationalError as error:
    print("second writer:", error)
first.execute("UPDATE account SET cents = cents + 2500 WHERE owner = 'bob'")
first.execute("COMMIT")
print("after commit:", dict(second.execute("SELECT * FROM account")))

second.execute("BEGIN")
second.execute("DELETE FROM account")
second.execute("ROLLBACK")
print("after rollback:", dict(second.execute("SELECT * FROM account")))

second.execute("CREATE TABLE sample (n INTEGER, payload BLOB)")
with second:
    second.execute("BEGIN")
    second.executemany(
        "INSERT INTO sample VALUES (?, ?)", ((n, bytes([n % 256]) * 200) for n in range(5000))
    )
print("samples:", second.execute("SELECT count(*), sum(n), sum(length(payload)) FROM sample").fetchone())

copy = sqlite3.connect("copy.db")
second.backup(copy)
print("copy:", copy.execute("PRAGMA integrity_check").fetchone()[0],
      copy.execute("SELECT count(*) FROM sample").fetchone()[0])
for connection in (copy, second, first):
    connection.close()
print("wal left behind:", os.path.exists(PATH + "-wal"))
with open(PATH, "rb") as raw:
    print(raw.read(15))
