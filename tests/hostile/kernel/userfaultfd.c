// tries: to stop the kernel in the middle of a copy, by userfaultfd
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    for (int flags = 0; flags < 2; flags++)
        if (syscall(SYS_userfaultfd, flags) != -1 || errno != EPERM) return printf("breached: flags %d\n", flags), 1;
    if (open("/dev/userfaultfd", O_RDWR) != -1) return puts("breached: the device can be opened"), 1;
    puts("held");
}
