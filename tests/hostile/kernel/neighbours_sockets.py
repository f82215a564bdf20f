# tries: to reach a neighbour and the host by abstract unix sockets and by loopback
# right: held
# args: ["{abstract_socket}", "{tcp_port}"]
# neighbour: listener.py
import errno
import socket
import sys
import time


def is_reached(family, address):
    with socket.socket(family) as connection:
        connection.settimeout(1)
        try:
            connection.connect(address)
            return True
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                print(f'breached: {address!r} is refused with {error}')
            return False


places = [(socket.AF_UNIX, '\0' + sys.argv[1]), (socket.AF_INET, ('127.0.0.1', int(sys.argv[2]))),
          (socket.AF_UNIX, '\0soulbox-listener'), (socket.AF_INET, ('127.0.0.1', 45678)),
          (socket.AF_INET, ('127.0.0.2', 45678)), (socket.AF_INET6, ('::ffff:127.0.0.1', 45678))]
# The neighbour cannot tell when it listens; that is the point.
end = time.monotonic() + 0.5
while time.monotonic() < end:
    for family, address in places:
        if is_reached(family, address):
            raise SystemExit(print(f'breached: {address!r} was reached') or 1)
    time.sleep(0.02)
# The names are free here: they are the neighbour's in another namespace.
socket.socket(socket.AF_UNIX).bind('\0soulbox-listener')
socket.create_server(('127.0.0.1', 45678)).close()
print('held')
