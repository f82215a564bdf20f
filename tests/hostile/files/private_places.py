# tries: to find what is private to the host: homes, logs, keys, accounts, sockets of services
# right: held
import os

for place in ('/home', '/root', '/var', '/run', '/srv', '/mnt', '/media', '/opt', '/boot', '/sys', '/lost+found'):
    if os.path.isdir(place):
        try:
            found = os.listdir(place)
        except OSError:
            found = ['unreadable']
        if found:
            raise SystemExit(print(f'breached: {place} has {found}') or 1)
for path in ('/etc/shadow', '/etc/gshadow', '/etc/ssh', '/etc/ssl/private', '/etc/sudoers', '/etc/machine-id',
             '/etc/krb5.keytab', '/etc/fstab', '/etc/crontab', '/etc/docker', '/var/run/docker.sock',
             '/run/containerd/containerd.sock', '/run/systemd/private', '/run/dbus/system_bus_socket',
             '/var/lib/soulbox', '/.dockerenv', '/run/secrets', '/usr/local/etc/shadow'):
    if os.path.lexists(path):
        raise SystemExit(print('breached:', path) or 1)
usual = set('bin dev etc lib lib32 lib64 libx32 proc run sbin sys tmp usr workspace .soulbox'.split())
if not set(os.listdir('/')) <= usual:
    raise SystemExit(print('breached:', set(os.listdir('/')) - usual) or 1)
print('held')
