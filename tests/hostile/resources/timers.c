// tries: to make timers without end
// right: held
// limits: {"wall_time_ms": 20000, "pids": 16}
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

int main(void) {
    int count = 0;
    struct sigevent none = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    signal(SIGALRM, SIG_IGN);
    for (timer_t timer; count < 100000 && timer_create(CLOCK_MONOTONIC, &none, &timer) == 0; count++) {
        struct itimerspec often = {{0, 100000}, {0, 100000}};
        timer_settime(timer, 0, &often, 0);
    }
    if (count > 1024) return printf("breached: %d timers\n", count), 1;
    int files = 0;
    while (files < 100000 && timerfd_create(CLOCK_MONOTONIC, 0) != -1) files++;
    if (files > 4096) return printf("breached: %d files of timers\n", files), 1;
    puts("held");
}
