# tries: to learn where on the host its output and the files of others lie
# right: held
# args: ["{host_file}"]
import os
import sys

text = ''
for name in ('mountinfo', 'mounts', 'mountstats', 'maps', 'environ', 'stat', 'status', 'cgroup'):
    text += open('/proc/self/' + name, errors='replace').read()
for word in ('upperdir=', 'exec_', os.path.dirname(sys.argv[1])):
    if word in text:
        line = next(line for line in text.splitlines() if word in line)
        raise SystemExit(print(f'breached: {word} in {line!r}') or 1)
print('held')
