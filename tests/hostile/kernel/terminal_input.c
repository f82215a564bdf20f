// tries: to type into a terminal of the host, by TIOCSTI and TIOCLINUX
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    const long requests[] = {0x5412, 0x541c, 0x5412 | 1L << 32, 0x541c | 1L << 40, 0x5412 | 0xffffffffL << 32};
    for (int fd = 0; fd < 3; fd++)
        for (int i = 0; i < 5; i++)
            // The kernel looks at the lower half of the request alone.
            if (syscall(SYS_ioctl, fd, requests[i], "x") != -1 || errno != EPERM)
                return printf("breached: request %lx on %d, error %d\n", requests[i], fd, errno), 1;
    const char *terminals[] = {"/dev/tty", "/dev/console", "/dev/ptmx", "/dev/pts/0", "/dev/tty1"};
    for (int i = 0; i < 5; i++)
        if (open(terminals[i], O_RDWR | O_NOCTTY) != -1) return printf("breached: %s\n", terminals[i]), 1;
    puts("held");
}
