# tries: to learn where on the host its files and its server lie
# right: held
# args: ["{host_file}", "{host_pid}"]
import os
import sys

text = ''
for name in ('mountinfo', 'mounts', 'mountstats', 'maps', 'cmdline', 'environ', 'stat', 'status', 'cgroup'):
    text += open('/proc/self/' + name, errors='replace').read().split(sys.argv[1])[0] if name == 'cmdline' else \
        open('/proc/self/' + name, errors='replace').read()
for word in ('/var/lib/soulbox', 'instances', 'upperdir=', 'lowerdir=', 'exec_', os.path.dirname(sys.argv[1])):
    if word in text:
        line = next(line for line in text.splitlines() if word in line)
        raise SystemExit(print(f'breached: {word} in {line!r}') or 1)
print('held')
