// tries: to have more processes at once than its limit says, by children and their children
// right: held
// limits: {"pids": 24, "wall_time_ms": 20000}
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int news[2], count = 0;
    if (pipe(news)) return 1;
    if (fork() == 0) {
        close(news[0]);
        // Each one has a child, and waits, until there can be no more.
        for (int child; (child = fork()) != -1;) {
            if (child > 0) pause();
            (void)!write(news[1], "x", 1);
        }
        (void)!write(news[1], errno == EAGAIN ? "." : "!", 1);
        pause();
    }
    close(news[1]);
    for (char byte; read(news[0], &byte, 1) == 1; count++) {
        if (byte == '.') break;
        if (byte == '!') return puts("breached: another error"), 1;
    }
    // This one, the first child, and pid 1 are beyond those that were told.
    if (count + 2 > 24) return printf("breached: %d processes\n", count + 2), 1;
    if (fork() != -1) return puts("breached: one more"), 1;
    puts("held");
}
