// tries: to take memory in pipes that nobody reads
// right: out_of_memory
// limits: {"memory_bytes": 8388608, "pids": 64, "wall_time_ms": 20000}
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

static char bytes[1 << 16];

int main(void) {
    for (;;) {
        int ends[2];
        if (pipe2(ends, O_NONBLOCK)) {
            if (fork() > 0) for (;;) pause();
            for (int fd = 3; fd < 1024; fd += 2) close(fd);
            continue;
        }
        fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
        while (write(ends[1], bytes, sizeof bytes) > 0);
    }
}
