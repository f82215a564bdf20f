// tries: to leave something in memory segments, message queues and semaphores that outlive a program
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    const long huge = 04000;
    long results[] = {
        syscall(SYS_shmget, 0x50, 4096, 01666), syscall(SYS_shmget, 0x51, 1 << 21, 01666 | huge), syscall(SYS_msgget, 0x50, 01666),
        syscall(SYS_semget, 0x50, 1, 01666), syscall(SYS_mq_open, "soulbox", O_CREAT | O_RDWR, 0666, 0), syscall(SYS_shmat, 0, 0, 0),
    };
    for (int i = 0; i < 6; i++)
        if (results[i] != -1) return printf("breached: attempt %d gave %ld\n", i, results[i]), 1;
    if (errno != EPERM) return printf("breached: error %d\n", errno), 1;
    puts("held");
}
