// tries: to climb to the namespaces above its own, from descriptor to descriptor
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    const unsigned long owner = 0xb701, parent = 0xb702;
    const char *kinds[] = {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"};
    for (int i = 0; i < 7; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
        int fd = open(path, O_RDONLY);
        if (fd == -1) continue;
        if (i < 2 && ioctl(fd, parent) != -1) return printf("breached: the parent of %s\n", kinds[i]), 1;
        int user = ioctl(fd, owner);
        if (user != -1 && ioctl(user, parent) != -1) return printf("breached: the owner of %s has a parent\n", kinds[i]), 1;
        if (user != -1 && (syscall(SYS_setns, user, 0) != -1 || errno != EPERM)) return printf("breached: entered the owner of %s\n", kinds[i]), 1;
        snprintf(path, sizeof path, "/proc/1/ns/%s", kinds[i]);
        if (open(path, O_RDONLY) != -1) return printf("breached: %s\n", path), 1;
    }
    puts("held");
}
