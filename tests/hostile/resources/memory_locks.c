// tries: to take memory by locks on files, one for each byte
// right: out_of_memory
// limits: {"memory_bytes": 8388608, "wall_time_ms": 20000}
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    int fd = open("/tmp/file", O_CREAT | O_RDWR, 0600);
    for (long at = 0;; at += 2) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
        // Each new one is put at the end of the list.
        if (fcntl(fd, F_SETLK, &lock)) return perror("fcntl"), 1;
    }
}
