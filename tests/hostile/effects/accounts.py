# tries: to know the accounts of the host, and to be one of them
# right: held
import grp
import os
import pwd

names = {entry.pw_name for entry in pwd.getpwall()} | {entry.gr_name for entry in grp.getgrall()}
if not names <= {'root', 'sandbox', 'nobody', 'nogroup'}:
    raise SystemExit(print('breached:', names) or 1)
for entry in pwd.getpwall():
    if entry.pw_passwd not in ('x', '*', '!', ''):
        raise SystemExit(print('breached: a password') or 1)
numbers = [int(word) for word in open('/proc/self/uid_map').read().split()]
if len(numbers) != 3 or numbers[0] != 0 or numbers[1] < 65536 or numbers[2] not in (2048, 65536):
    raise SystemExit(print('breached: mapped are', numbers) or 1)
for name, text in (('uid_map', '0 0 1'), ('gid_map', '0 0 1'), ('projid_map', '0 0 1'), ('setgroups', 'allow')):
    try:
        with open('/proc/self/' + name, 'w') as file:
            file.write(text)
        raise SystemExit(print(f'breached: {name} was written') or 1)
    except OSError:
        pass
if os.stat('/usr/bin/env').st_uid not in (0, 65534) or os.getuid() == 0:
    raise SystemExit(print('breached: it is the owner of /usr') or 1)
print('held')
