// tries: to leave orphans that nobody reaps, many more than there may be processes
// right: held
// limits: {"pids": 32, "wall_time_ms": 20000}
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    for (int count = 0; count < 500; count++) {
        int child;
        // The limit may be met for a moment, until the last ones are reaped.
        while ((child = fork()) == -1) usleep(1000);
        if (child == 0) {
            if (fork() == 0) _exit(0);
            _exit(0);
        }
        waitpid(child, 0, 0);
    }
    puts("held");
}
