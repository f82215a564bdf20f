// tries: to take another personality: no address randomization, executable data, another kernel's rules
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    long before = syscall(SYS_personality, 0xffffffff);
    for (int bit = 0; bit < 32; bit++)
        if (syscall(SYS_personality, 1L << bit) != -1 || errno != EPERM) return printf("breached: bit %d\n", bit), 1;
    if (syscall(SYS_personality, 0x0040000 | 0x0400000) != -1 || errno != EPERM) return puts("breached: two bits"), 1;
    if (syscall(SYS_personality, 0xffffffff) != before) return puts("breached: it has changed"), 1;
    puts("held");
}
