# tries: to know its place in the host's cgroups, and to leave it
# right: held
import os

cgroup, mounts = open('/proc/self/cgroup').read(), open('/proc/self/mountinfo').read()
for line in cgroup.splitlines():
    if not line.endswith(':/'):
        raise SystemExit(print('breached:', line) or 1)
if 'cgroup' in mounts:
    raise SystemExit(print('breached: cgroups are mounted') or 1)
for top in ('/sys/fs/cgroup', '/cgroup', '/run/cgroup', '/dev/cgroup'):
    if os.path.exists(top):
        raise SystemExit(print('breached:', top) or 1)
print('held')
