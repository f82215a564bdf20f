// tries: to take memory in the buffers of sockets that nobody reads
// right: out_of_memory
// limits: {"memory_bytes": 16777216, "wall_time_ms": 20000}
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static char bytes[1 << 16];

int main(void) {
    for (;;) {
        int pair[2], size = 1 << 20;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair)) {
            // All descriptors of one process are in use; its child has others.
            if (fork() > 0) for (;;) pause();
            for (int fd = 3; fd < 1024; fd += 2) close(fd);
            continue;
        }
        for (int end = 0; end < 2; end++) {
            setsockopt(pair[end], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
            while (send(pair[end], bytes, sizeof bytes, MSG_DONTWAIT) > 0);
        }
    }
}
