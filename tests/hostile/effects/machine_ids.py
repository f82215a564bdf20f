# tries: to know the machine again, by its ids and addresses
# right: held
# stdin: {boot_id}
import fcntl
import os
import socket
import struct

boot = input()
for path in ('/proc/sys/kernel/random/boot_id', '/etc/machine-id', '/var/lib/dbus/machine-id', '/sys/class/dmi/id/product_uuid',
             '/sys/class/net', '/proc/net', '/proc/self/net/arp', '/etc/ssh/ssh_host_ed25519_key.pub', '/proc/cpuinfo'):
    if os.path.isfile(path) and (boot in open(path).read() or 'net' not in path):
        raise SystemExit(print('breached:', path) or 1)
    if os.path.isdir(path) and os.listdir(path):
        raise SystemExit(print('breached:', path) or 1)
with open('/proc/self/net/dev') as file:
    interfaces = [line.split(':')[0].strip() for line in file if ':' in line]
if interfaces != ['lo']:
    raise SystemExit(print('breached:', interfaces) or 1)
with socket.socket() as any_socket:
    for index in range(1, 100):
        try:
            name = fcntl.ioctl(any_socket, 0x8910, struct.pack('16si', b'', index) + bytes(20))[:16].rstrip(b'\0')
        except OSError:
            continue
        if name != b'lo':
            raise SystemExit(print('breached:', name) or 1)
        address = fcntl.ioctl(any_socket, 0x8927, name.ljust(40, b'\0'))[18:24]
        if address != bytes(6):
            raise SystemExit(print('breached:', address) or 1)
if os.path.exists('/proc/self/loginuid') and open('/proc/self/loginuid').read().strip() not in ('4294967295', '', '0'):
    raise SystemExit(print('breached: the user who started the server') or 1)
print('held')
