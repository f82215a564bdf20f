// tries: to drown the kernel and pid 1 in signals and in the ends of children
// right: timed_out
// limits: {"wall_time_ms": 500, "pids": 16}
#define _GNU_SOURCE
#include <signal.h>
#include <unistd.h>

static void nothing(int number) {}

int main(void) {
    for (int number = 1; number < 65; number++) signal(number, nothing);
    for (int child = 0; child < 8; child++) fork();
    union sigval value = {0};
    for (;;)
        for (int number = 1; number < 65; number++) {
            // Those that cannot be ignored, and those that libc has for itself.
            if (number == SIGKILL || number == SIGSTOP || number == 32 || number == 33) continue;
            kill(0, number);
            sigqueue(getppid(), number, value);
            sigqueue(getpid(), number, value);
        }
}
