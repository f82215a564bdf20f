// tries: to raise its own limits
// right: held
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

int main(void) {
    const int fixed[] = {RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_MSGQUEUE, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING, RLIMIT_NICE, RLIMIT_RTPRIO};
    for (int i = 0; i < 8; i++) {
        struct rlimit limit, raised;
        getrlimit(fixed[i], &limit);
        if (limit.rlim_max == RLIM_INFINITY) return printf("breached: %d is without limit\n", fixed[i]), 1;
        raised = limit, raised.rlim_max++;
        if (setrlimit(fixed[i], &raised) == 0 || prlimit(getpid(), fixed[i], &raised, 0) == 0) return printf("breached: %d was raised\n", fixed[i]), 1;
        if (prlimit(1, fixed[i], &limit, 0) == 0) return puts("breached: limits of pid 1"), 1;
    }
    puts("held");
}
