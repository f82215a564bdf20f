// tries: to load a kernel module, another kernel, swap space, or to end the machine
// right: held
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    const struct { const char *name; long call[6]; } calls[] = {
        {"init_module", {SYS_init_module, 0, 0, (long)""}}, {"finit_module", {SYS_finit_module, 0, (long)"", 0}},
        {"delete_module", {SYS_delete_module, (long)"soulbox", 0}}, {"kexec_load", {SYS_kexec_load, 0, 0, 0, 0}},
        {"kexec_file_load", {SYS_kexec_file_load, -1, -1, 0, 0, 0}}, {"reboot", {SYS_reboot, 0xfee1dead, 672274793, 0, 0}},
        {"iopl", {SYS_iopl, 3}}, {"ioperm", {SYS_ioperm, 0, 1024, 1}}, {"swapon", {SYS_swapon, (long)"/tmp/swap", 0}},
        {"swapoff", {SYS_swapoff, (long)"/tmp/swap"}}, {"open_by_handle_at", {SYS_open_by_handle_at, -100, (long)"\x08\0\0\0\1\0\0\0\2", 0}},
    };
    for (int i = 0; i < 11; i++) {
        const long *c = calls[i].call;
        int child = fork(), status;
        if (child == 0) _exit(syscall(c[0], c[1], c[2], c[3], c[4], c[5]) == 0);
        waitpid(child, &status, 0);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            return printf("breached: %s was survived, status %x\n", calls[i].name, status), 1;
    }
    puts("held");
}
