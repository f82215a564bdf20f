"""Blocking sockets: a threaded HTTP server with urllib, UDP, IPv6 if there, a socket pair."""
import http.server
import json
import socket
import threading
import urllib.error
import urllib.request


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/ok":
            self.send_error(404)
            return
        self.reply({"path": self.path})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply({"received": len(body), "sum": sum(json.loads(body))})

    def reply(self, value):
        body = json.dumps(value, sort_keys=True).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
base = "http://127.0.0.1:%d" % server.server_address[1]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(base + "/ok") as answer:
    print(answer.status, answer.read().decode())
with opener.open(base + "/add", data=json.dumps(list(range(100))).encode()) as answer:
    print(answer.status, answer.read().decode())
try:
    opener.open(base + "/missing")
except urllib.error.HTTPError as error:
    with error:
        print(error.code, error.reason)
server.shutdown()
server.server_close()

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, \
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(1)
    sender.sendto("datagram ✓".encode(), receiver.getsockname())
    print(receiver.recv(100).decode())

left, right = socket.socketpair()
with left, right:
    left.sendmsg([b"scatter", b"-", b"gather"])
    left.shutdown(socket.SHUT_WR)
    print(right.makefile().read())

print(sorted({info[4][0] for info in socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)}))
probe = socket.socket()
probe.settimeout(0.05)
probe.bind(("127.0.0.1", 0))
try:
    probe.listen()
    probe.accept()
except socket.timeout:
    print("accept timed out")
finally:
    probe.close()
