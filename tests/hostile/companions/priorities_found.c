// tries: to tell its priorities
// right: held
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

int main(void) {
    cpu_set_t processors;
    sched_getaffinity(0, sizeof processors, &processors);
    printf("priority %d scheduler %d processors %d\n", getpriority(PRIO_PROCESS, 0), sched_getscheduler(0), CPU_COUNT(&processors));
    puts("held");
}
