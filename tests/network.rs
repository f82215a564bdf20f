//! Network namespaces are given on from run to run, but only those in which nothing has happened.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use support::{Server, eventually};

/// What a program can tell of its network namespace: its cookie, which no two share, and all that counts.
const LOOK_AT_NETWORK: &str = "
import json, socket
SO_NETNS_COOKIE = 71
with socket.socket() as probe:
    cookie = probe.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8).hex()
counters = [open('/proc/self/net/' + name).read() for name in ('dev', 'snmp', 'snmp6', 'netstat', 'unix')]
print(json.dumps({'cookie': cookie, 'counters': counters}))
";

#[test]
fn a_network_that_was_used_is_never_given_to_another_run() {
    let server = Server::start();
    let first = server.probe(LOOK_AT_NETWORK);
    let traces = [
        // A connection, whose remains the kernel keeps for a minute.
        "server = socket.create_server(('127.0.0.1', 0)); socket.create_connection(server.getsockname())",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('::1', 9))",
        // Nobody listens, or there is no way there.
        "socket.socket().connect_ex(('127.0.0.1', 9))",
        "socket.socket().connect_ex(('192.0.2.1', 9))",
        "socket.socket(socket.AF_INET6).connect_ex(('2001:db8::1', 9))",
        // A multicast group.
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('224.1.1.1') + socket.inet_aton('127.0.0.1')); socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('224.1.1.1', 9))",
    ];
    for trace in traces {
        let used = server.probe(&format!(
            "import socket\ntry:\n    {trace}\nexcept OSError as error:\n    pass\n{LOOK_AT_NETWORK}"
        ));
        assert_ne!(used["counters"], first["counters"], "{trace} leaves a trace");
        let next = server.probe(LOOK_AT_NETWORK);
        assert_ne!(next["cookie"], used["cookie"], "after {trace}");
        assert_eq!(next["counters"], first["counters"], "after {trace}");
    }
}

#[test]
fn a_network_that_nobody_used_is_as_good_as_new() {
    let server = Server::start();
    let mut seen = Vec::new();
    // It is given on a moment after the answer.
    eventually("a network is used again", || {
        let next = server.probe(LOOK_AT_NETWORK);
        let again = seen.contains(&next);
        seen.push(next);
        again.then_some(())
    });
}
