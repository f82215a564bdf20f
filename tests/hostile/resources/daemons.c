// tries: to leave daemons behind: double forks, sessions of their own, no stream, every signal ignored
// right: held
// limits: {"pids": 32}
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    int ready[2];
    (void)!pipe(ready);
    for (int daemon = 0; daemon < 8; daemon++) {
        if (fork()) continue;
        setsid();
        if (fork()) _exit(0);
        for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
        (void)!write(ready[1], "x", 1);
        for (int fd = 0; fd < 64; fd++) close(fd);
        (void)!chdir("/");
        for (;;) daemon % 2 ? (void)pause() : (void)0;
    }
    char bytes[8];
    for (int got = 0; got < 8; got++) (void)!read(ready[0], bytes, 1);
    puts("held");
}
