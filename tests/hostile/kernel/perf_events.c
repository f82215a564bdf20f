// tries: to count what the processor does, for itself and for others
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    uint64_t attributes[16] = {(uint64_t)sizeof attributes << 32 | 1, 0};
    int pids[] = {0, -1, 1};
    for (int i = 0; i < 3; i++)
        if (syscall(SYS_perf_event_open, attributes, pids[i], 0, -1, 0) != -1 || errno != EPERM)
            return printf("breached: pid %d\n", pids[i]), 1;
    puts("held");
}
