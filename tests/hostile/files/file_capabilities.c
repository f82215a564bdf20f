// tries: to give capabilities and other attributes of the system to a file
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

int main(void) {
    const uint32_t all[6] = {0x02000001, ~0u, ~0u, ~0u, ~0u, 0}, named[6] = {0x03000001, ~0u, ~0u, ~0u, ~0u, 0};
    const char *names[] = {"security.capability", "security.selinux", "trusted.overlay.opaque", "system.posix_acl_access", "user.x"};
    int fd = open("/tmp/file", O_CREAT | O_RDWR, 0755);
    for (int i = 0; i < 5; i++)
        for (int form = 0; form < 2; form++) {
            const void *value = form ? named : all;
            size_t size = form ? 24 : 20;
            if (setxattr("/tmp/file", names[i], value, size, 0) == 0 || fsetxattr(fd, names[i], value, size, 0) == 0
                || lsetxattr("/tmp/file", names[i], value, size, 0) == 0)
                return printf("breached: %s\n", names[i]), 1;
        }
    int immutable = 0x10;
    if (ioctl(fd, 0x40086602, &immutable) == 0) return puts("breached: immutable"), 1;
    puts("held");
}
