// tries: to keep and find keys in the kernel's keyrings, which all sandboxes would share
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    if (syscall(SYS_add_key, "user", "soulbox", "secret", 6, -3) != -1 || errno != EPERM) return puts("breached: a key was kept"), 1;
    if (syscall(SYS_request_key, "user", "soulbox", 0, -3) != -1 || errno != EPERM) return puts("breached: a key was found"), 1;
    for (int command = 0; command < 40; command++)
        if (syscall(SYS_keyctl, command, -3, 0, 0, 0) != -1 || errno != EPERM) return printf("breached: keyctl %d\n", command), 1;
    puts("held");
}
