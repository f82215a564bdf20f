// tries: to end or stop the init that forked it, with every signal in every way
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    for (int number = 0; number < 65; number++) {
        union sigval value = {0};
        int pidfd = syscall(SYS_pidfd_open, 1, 0);
        if (kill(1, number) == 0 || sigqueue(1, number, value) == 0 || syscall(SYS_tkill, 1, number) == 0
            || syscall(SYS_tgkill, 1, 1, number) == 0 || (pidfd != -1 && syscall(SYS_pidfd_send_signal, pidfd, number, 0, 0) == 0))
            return printf("breached: signal %d\n", number), 1;
        if (pidfd != -1) close(pidfd);
    }
    puts("held");
}
