// tries: to look into and change other processes by ptrace, process_vm_readv and their like
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char memory[16] = "secret";

static int through(const char *what, int pid, long result) {
    if (result == -1 && errno == EPERM) return 0;
    printf("breached: %s of %d gave %ld, error %d\n", what, pid, result, errno);
    return 1;
}

int main(void) {
    int child = fork();
    if (child == 0) for (;;) pause();
    int pids[] = {child, 1}, breaches = 0;
    char copy[16];
    struct iovec here = {copy, sizeof copy}, there = {memory, sizeof memory};
    for (int i = 0; i < 2; i++) {
        int pid = pids[i];
        breaches += through("attach", pid, syscall(SYS_ptrace, PTRACE_ATTACH, pid, 0, 0));
        breaches += through("seize", pid, syscall(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0));
        breaches += through("read", pid, syscall(SYS_process_vm_readv, pid, &here, 1, &there, 1, 0));
        breaches += through("write", pid, syscall(SYS_process_vm_writev, pid, &here, 1, &there, 1, 0));
        breaches += through("kcmp", pid, syscall(SYS_kcmp, getpid(), pid, 0, 0, 0));
        breaches += through("migrate", pid, syscall(SYS_migrate_pages, pid, 0, 0, 0));
        breaches += through("move", pid, syscall(SYS_move_pages, pid, 0, 0, 0, 0, 0));
        int pidfd = syscall(SYS_pidfd_open, pid, 0);
        breaches += through("getfd", pid, syscall(SYS_pidfd_getfd, pidfd, 1, 0));
        breaches += through("madvise", pid, syscall(SYS_process_madvise, pidfd, &there, 1, 4, 0));
    }
    breaches += through("traceme", 0, syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0));
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
    if (!breaches) puts("held");
}
