// tries: to hide its cpu time in children that have ended before anybody looks
// right: timed_out
// limits: {"cpu_time_ms": 300, "wall_time_ms": 20000}
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    for (;;) {
        if (fork() == 0) {
            for (volatile long count = 0; count < 2000000; count++);
            _exit(0);
        }
        wait(0);
    }
}
