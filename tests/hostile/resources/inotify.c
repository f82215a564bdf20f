// tries: to use up the host's watches and queues of inotify and fanotify
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    long results[] = {
        syscall(SYS_inotify_init), syscall(SYS_inotify_init1, 0), syscall(SYS_inotify_add_watch, 0, "/usr", 2),
        syscall(SYS_fanotify_init, 0, 0), syscall(SYS_fanotify_mark, 0, 1, 1L, 0, "/usr"),
        // The older way to be told of changes.
        syscall(SYS_fcntl, open("/usr", O_RDONLY), 1026, 2), syscall(SYS_fcntl, open("/usr", O_RDONLY), 1026 | 1L << 32, 2),
    };
    for (int i = 0; i < 7; i++)
        if (results[i] != -1) return printf("breached: attempt %d gave %ld\n", i, results[i]), 1;
    if (errno != EPERM) return printf("breached: error %d\n", errno), 1;
    puts("held");
}
