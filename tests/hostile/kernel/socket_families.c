// tries: to make a socket of every family, kind and protocol: vsock, netlink, raw, packet, the kernel's ciphers
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_plain(int family, int kind, int protocol) {
    if (family == AF_UNIX) return kind == SOCK_STREAM || kind == SOCK_DGRAM || kind == SOCK_SEQPACKET;
    if (family != AF_INET && family != AF_INET6) return 0;
    return (kind == SOCK_STREAM && (protocol == 0 || protocol == 6)) || (kind == SOCK_DGRAM && (protocol == 0 || protocol == 17));
}

int main(void) {
    const long flags[] = {0, SOCK_CLOEXEC, SOCK_NONBLOCK, 1L << 32};
    for (int family = 0; family < 64; family++)
        for (int kind = 0; kind < 12; kind++)
            for (int at = 0; at < 26; at++)
                for (int i = 0; i < 4; i++) {
                    // Of netlink's and IP's protocols: the low ones, and DCCP, SCTP, UDP-Lite, raw, multipath TCP, none.
                    const int others[] = {33, 132, 136, 255, 262, 263}, protocol = at < 20 ? at : others[at - 20];
                    if (is_plain(family, kind, protocol)) continue;
                    long fd = syscall(SYS_socket, (long)family, kind | flags[i], (long)protocol);
                    if (fd != -1 || errno != EPERM)
                        return printf("breached: family %d kind %d protocol %d, error %d\n", family, kind, protocol, errno), 1;
                }
    int pair[2];
    for (int family = 2; family < 64; family++)
        if (syscall(SYS_socketpair, family, SOCK_STREAM, 0, pair) != -1) return printf("breached: a pair of family %d\n", family), 1;
    puts("held");
}
