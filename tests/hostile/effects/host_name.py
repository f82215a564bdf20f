# tries: to know the host's name, and to change it
# right: held
# stdin: {host_name}
import ctypes
import os
import socket

host = input()
seen = {socket.gethostname(), os.uname().nodename, open('/etc/hostname').read().strip()}
if seen != {'sandbox'}:
    raise SystemExit(print(f'breached: seen are {seen}') or 1)
for path in ('/etc/hosts', '/etc/hostname', '/etc/mailname', '/etc/resolv.conf', '/proc/self/environ', '/proc/self/mountinfo',
             '/proc/self/cgroup'):
    if os.path.exists(path) and len(host) > 3 and host in open(path).read().replace('/', ' ').split():
        raise SystemExit(print(f'breached: {path} has the name') or 1)
libc = ctypes.CDLL(None, use_errno=True)
for change in (libc.sethostname, libc.setdomainname):
    if change(b'x', 1) != -1 or ctypes.get_errno() != 1:
        raise SystemExit(print('breached: the name was changed') or 1)
print('held')
