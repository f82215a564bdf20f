# tries: to reach a network, by every address that a host could have
# right: held
import errno
import socket

hosts = ('1.1.1.1', '8.8.8.8', '10.0.0.1', '192.168.0.1', '169.254.169.254', '172.17.0.1', '100.64.0.1', '224.0.0.1', '255.255.255.255')
hosts6 = ('2606:4700:4700::1111', 'fe80::1', 'fd00:ec2::254', 'ff02::1')
for family, addresses in ((socket.AF_INET, hosts), (socket.AF_INET6, hosts6)):
    for host in addresses:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(family, kind) as connection:
                connection.settimeout(2)
                try:
                    connection.connect((host, 53))
                    connection.send(b'x')
                    raise SystemExit(print(f'breached: {host} was reached') or 1)
                except OSError as error:
                    if error.errno not in (errno.ENETUNREACH, errno.EACCES, errno.EINVAL, errno.EADDRNOTAVAIL, errno.EHOSTUNREACH):
                        raise SystemExit(print(f'breached: {host}: {error}') or 1)
for name in ('example.org', 'metadata.google.internal', 'host.docker.internal', 'gateway'):
    try:
        socket.getaddrinfo(name, 80)
        raise SystemExit(print(f'breached: {name} has an address') or 1)
    except OSError:
        pass
print('held')
