"""subprocess: shell pipelines, other interpreters, environments, time-outs, inherited output."""
import os
import subprocess
import sys

ENVIRONMENT = {**os.environ, "LC_ALL": "C"}


def shell(command, **options):
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, **options
    )
    return done.returncode, done.stdout, done.stderr


print(shell("printf 'pear\\napple\\nfig\\napple\\n' | sort | uniq -c | sed 's/^ *//'"))
print(shell("tr a-z A-Z | head -n 1", input="first\nsecond\n"))
print(shell("echo out; echo err >&2; exit 5"))
print(shell("yes soulbox | head -n 3"))
print(shell("cat $0 2>/dev/null || echo \"no such file, code $?\""))

code = "import sys; print(sys.argv[1:], __name__, 6 * 7)"
print(subprocess.check_output([sys.executable, "-c", code, "a b", "ü"], text=True).rstrip())
print(subprocess.check_output(
    [sys.executable, "-c", "import os; print(os.environ['GREETING'])"],
    env={**ENVIRONMENT, "GREETING": "good day"}, text=True).rstrip())

first = subprocess.Popen(["printf", "3\n1\n2\n"], stdout=subprocess.PIPE)
second = subprocess.Popen(["sort"], stdin=first.stdout, stdout=subprocess.PIPE, text=True)
first.stdout.close()
print(second.communicate()[0].split(), first.wait(), second.returncode)

try:
    subprocess.run(["sleep", "30"], timeout=0.05)
except subprocess.TimeoutExpired as expired:
    print("timed out:", expired.cmd)
try:
    subprocess.run(["sh", "-c", "exit 9"], check=True)
except subprocess.CalledProcessError as error:
    print("checked:", error)
try:
    subprocess.run(["/no/such/program"])
except FileNotFoundError as error:
    print(type(error).__name__, error.filename)
killed = subprocess.run(["sh", "-c", "kill -TERM $$"])
print("killed by signal:", -killed.returncode)

print("before the child", flush=True)
subprocess.run(["echo", "the child itself"])
os.system("echo a shell, too")
print("os.popen:", os.popen("echo deep").read().strip())
big = subprocess.run(["cat"], input=b"0123456789" * 50_000, stdout=subprocess.PIPE).stdout
print("through cat:", len(big), big == b"0123456789" * 50_000)
with open("listing.txt", "w") as target:
    subprocess.run(["sh", "-c", "echo into a file; pwd"], stdout=target, cwd="/tmp")
print(open("listing.txt").read().splitlines())
