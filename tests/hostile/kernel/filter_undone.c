// tries: to be rid of the seccomp filter: by another one, in threads, in children, in executed programs
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int is_in_force(void) { return syscall(SYS_unshare, 0) == -1 && errno == EPERM; }

static void *in_thread(void *unused) { return (void *)(intptr_t)is_in_force(); }

int main(int argc, char **argv) {
    if (argc > 1) return is_in_force() ? 42 : 1;
    struct { uint16_t code; uint8_t jt, jf; uint32_t k; } allow[] = {{6, 0, 0, 0x7fff0000}};
    struct { unsigned short length; void *code; } program = {1, allow};
    for (int mode = 0; mode < 4; mode++)
        for (int flags = 0; flags < 64; flags++)
            if (syscall(SYS_seccomp, mode, flags, &program) != -1 || errno != EPERM)
                return printf("breached: seccomp %d with flags %d\n", mode, flags), 1;
    for (int mode = 0; mode < 4; mode++)
        if (prctl(PR_SET_SECCOMP, mode, &program, 0, 0) != -1) return printf("breached: mode %d\n", mode), 1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) != -1 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return puts("breached: new privileges can be had"), 1;
    if (!is_in_force()) return puts("breached: it is not in force"), 1;
    pthread_t thread;
    void *held;
    if (pthread_create(&thread, 0, in_thread, 0) || pthread_join(thread, &held) || !held) return puts("breached: not in threads"), 1;
    int child = vfork(), status;
    if (child == 0) {
        execl("/proc/self/exe", "again", "again", (char *)0);
        _exit(2);
    }
    waitpid(child, &status, 0);
    if (WEXITSTATUS(status) != 42) return printf("breached: not in executed programs, status %x\n", status), 1;
    puts("held");
}
