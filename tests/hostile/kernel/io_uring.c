// tries: to make system calls behind the filter's back, by io_uring
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    char params[256] = {0};
    long results[3] = {syscall(SYS_io_uring_setup, 8, params)};
    int errors[3] = {errno};
    results[1] = syscall(SYS_io_uring_enter, 0, 1, 0, 0, 0, 0), errors[1] = errno;
    results[2] = syscall(SYS_io_uring_register, -1, 0, 0, 0), errors[2] = errno;
    for (int i = 0; i < 3; i++)
        if (results[i] != -1 || errors[i] != EPERM) return printf("breached: call %d gave %ld, error %d\n", i, results[i], errors[i]), 1;
    puts("held");
}
