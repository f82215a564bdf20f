# tries: to know the accounts of the host
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
if len(numbers) != 3 or numbers[0] != 0 or numbers[1] < 65536 or numbers[2] != 65536:
    raise SystemExit(print('breached: mapped are', numbers) or 1)
if os.stat('/usr/bin/env').st_uid not in (0, 65534) or os.getuid() == 0:
    raise SystemExit(print('breached: it is the owner of /usr') or 1)
print('held')
