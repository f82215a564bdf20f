// tries: to fill the table of processes with children that have ended and that nobody waits for
// right: held
// limits: {"pids": 32, "wall_time_ms": 20000}
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    int count = 0;
    for (; count < 10000; count++) {
        int child = fork();
        if (child == 0) _exit(0);
        if (child == -1) break;
    }
    if (count >= 32) return printf("breached: %d zombies\n", count), 1;
    if (errno != EAGAIN) return perror("fork"), 1;
    // Orphans are not its own; they are reaped, so that any number can come after one another.
    puts("held");
}
