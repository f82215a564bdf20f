// tries: to take the processor from others: by priority, a real-time scheduler, or the first place at the disk
// right: held
// then: priorities_found.c
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    for (int nice_value = -20; nice_value < 0; nice_value++)
        if (setpriority(PRIO_PROCESS, 0, nice_value) == 0) return printf("breached: priority %d\n", nice_value), 1;
    for (int kind = 0; kind < 8; kind++) {
        struct sched_param parameter = {kind == 1 || kind == 2};
        if (kind && sched_setscheduler(0, kind, &parameter) == 0) return printf("breached: scheduler %d\n", kind), 1;
    }
    const int pids[] = {0, 1};
    for (int i = 0; i < 2; i++)
        for (int kind = 0; kind < 4; kind++)
            if (syscall(SYS_ioprio_set, 1, pids[i], kind << 13) != -1) return printf("breached: disk priority %d\n", kind), 1;
    // What it may do is to wait for others, which must not stay so for the next one.
    if (setpriority(PRIO_PROCESS, 0, 19) || setpriority(PRIO_PGRP, 0, 19)) return perror("nice"), 1;
    if (setpriority(PRIO_PROCESS, 1, 19) == 0) return puts("breached: priority of pid 1"), 1;
    setpriority(PRIO_USER, 0, 19);
    puts("held");
}
