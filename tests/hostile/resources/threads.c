// tries: to have more threads at once than its limit of processes says
// right: held
// limits: {"pids": 32, "wall_time_ms": 20000}
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *wait_for_ever(void *unused) {
    for (;;) pause();
}

int main(void) {
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    int count = 1;
    for (pthread_t thread; count < 2000 && pthread_create(&thread, &small, wait_for_ever, 0) == 0;) count++;
    if (count > 32) return printf("breached: %d threads\n", count), 1;
    puts("held");
}
