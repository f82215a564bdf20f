// tries: to queue signals without end, which the kernel counts for the host's root
// right: held
// limits: {"wall_time_ms": 20000}
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, 0);
    int count = 0;
    union sigval value = {0};
    for (; count < 100000 && sigqueue(getpid(), SIGRTMIN, value) == 0;) count++;
    if (count > 1024) return printf("breached: %d signals\n", count), 1;
    if (errno != EAGAIN) return perror("sigqueue"), 1;
    puts("held");
}
