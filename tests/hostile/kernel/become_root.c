// tries: to become root or anybody else
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    const long ids[] = {0, 1, 1000, 65533, 65534};
    const long calls[] = {SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid};
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 8; j++)
            if (syscall(calls[j], ids[i], ids[i], ids[i]) != -1 || errno != EPERM)
                return printf("breached: call %ld for %ld\n", calls[j], ids[i]), 1;
    gid_t group = 0;
    if (syscall(SYS_setgroups, 1, &group) != -1 || syscall(SYS_setgroups, 0, 0) != -1) return puts("breached: groups"), 1;
    uid_t real, effective, saved;
    getresuid(&real, &effective, &saved);
    if (real < 1000 || effective != real || saved != real) return puts("breached: somebody else"), 1;
    if (getgid() < 1000 || getgid() != getegid() || getgroups(0, 0) != 0) return puts("breached: another group"), 1;
    puts("held");
}
