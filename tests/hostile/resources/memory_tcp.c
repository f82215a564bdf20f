// tries: to take memory in connections with itself that nobody reads
// right: out_of_memory
// limits: {"memory_bytes": 33554432, "pids": 48, "wall_time_ms": 30000}
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static char bytes[1 << 16];

int main(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int size = 1 << 24;
    for (int child = 0; child < 40; child++) if (fork() == 0) break;
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server, (void *)&at, length) || listen(server, 1000) || getsockname(server, (void *)&at, &length)) return perror("listen"), 1;
    for (int count = 0; count < 480; count++) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(client, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        if (connect(client, (void *)&at, length)) break;
        setsockopt(accept(server, 0, 0), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        fcntl(client, F_SETFL, O_NONBLOCK);
        while (write(client, bytes, sizeof bytes) > 0);
    }
    for (;;) pause();
}
