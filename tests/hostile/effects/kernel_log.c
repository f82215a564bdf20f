// tries: to read and write the kernel's log
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    char text[4096];
    for (int kind = 0; kind < 12; kind++)
        if (syscall(SYS_syslog, kind, text, sizeof text) != -1 || errno != EPERM) return printf("breached: syslog %d\n", kind), 1;
    const char *paths[] = {"/dev/kmsg", "/proc/kmsg", "/dev/log", "/run/systemd/journal/socket", "/var/log/syslog", "/sys/kernel/debug", "/sys/fs/pstore"};
    for (int i = 0; i < 7; i++)
        if (open(paths[i], O_RDONLY | O_NONBLOCK) != -1 || open(paths[i], O_WRONLY | O_NONBLOCK) != -1) return printf("breached: %s\n", paths[i]), 1;
    puts("held");
}
