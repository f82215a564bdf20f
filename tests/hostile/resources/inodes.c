// tries: to make files without content until there can be no more on the host
// right: out_of_memory
// limits: {"memory_bytes": 8388608, "wall_time_ms": 20000, "disk_bytes": 67108864}
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
    for (long number = 0;; number++) {
        char name[32];
        snprintf(name, sizeof name, "%ld", number);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        if (fd == -1) return perror(name), 1;
        close(fd);
    }
}
