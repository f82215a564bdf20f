"""Scans a few megabytes of generated log text with regular expressions."""
import hashlib
import re

VERBS = ["GET", "POST", "PUT", "DELETE"]
state = 12345


def next_random(limit):
    global state
    state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    return (state >> 8) % limit


def log_line(number):
    address = ".".join(str(next_random(256)) for _ in range(4))
    verb = VERBS[next_random(4)]
    status = [200, 200, 200, 301, 404, 500][next_random(6)]
    return f'{address} - [{number:06d}] "{verb} /item/{next_random(5000)}?q={next_random(100)} HTTP/1.1" {status}'


text = "\n".join(log_line(number) for number in range(30_000))
print("bytes:", len(text))
print("sha256:", hashlib.sha256(text.encode()).hexdigest())

pattern = re.compile(
    r'^(?P<ip>\d{1,3}(?:\.\d{1,3}){3}) - \[(?P<n>\d+)\] '
    r'"(?P<verb>[A-Z]+) /item/(?P<item>\d+)\?q=(?P<q>\d+) HTTP/1\.1" (?P<status>\d{3})$',
    re.MULTILINE,
)
counts = {}
item_sum = 0
for match in pattern.finditer(text):
    key = match["verb"], match["status"]
    counts[key] = counts.get(key, 0) + 1
    item_sum += int(match["item"])
for (verb, status), count in sorted(counts.items()):
    print(f"{verb:<7}{status} {count}")
print("item sum:", item_sum)

private = re.findall(r"^10\.\d+\.\d+\.\d+", text, re.MULTILINE)
print("ten-dot addresses:", len(private))
hidden, replaced = re.subn(r"\b(\d{1,3})\.(\d{1,3})\.\d{1,3}\.\d{1,3}\b", r"\1.\2.x.x", text)
print("replaced:", replaced, hashlib.sha256(hidden.encode()).hexdigest()[:16])
print("repeated digit in q:", len(re.findall(r"q=(\d)\1 ", text)))
