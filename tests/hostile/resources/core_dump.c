// tries: to have a core of many megabytes written, by the kernel or by the host's handler
// right: held
// limits: {"memory_bytes": 134217728}
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int status;
    if (fork() == 0) {
        struct rlimit limit;
        getrlimit(RLIMIT_CORE, &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_CORE, &limit);
        for (volatile char *at = malloc(32 << 20), *end = at + (32 << 20); at < end; at += 4096) *at = 1;
        abort();
    }
    wait(&status);
    if (!WIFSIGNALED(status)) return printf("status %x\n", status), 1;
    if (WCOREDUMP(status)) return puts("breached: a core was written"), 1;
    if (access("core", F_OK) == 0) return puts("breached: there is a core"), 1;
    puts("held");
}
