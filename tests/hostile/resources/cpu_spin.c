// tries: to use more cpu time than it may, in many processes
// right: timed_out
// limits: {"cpu_time_ms": 300, "wall_time_ms": 20000, "pids": 32}
#include <unistd.h>

int main(void) {
    for (int child = 0; child < 16; child++)
        if (fork() == 0) break;
    for (;;);
}
