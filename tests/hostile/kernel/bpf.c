// tries: to load a program into the kernel, by bpf and through a socket
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    // return 0
    uint64_t code[2] = {0x00000000000000b7, 0x0000000000000095};
    struct { uint32_t type, count; uint64_t code, license; char rest[104]; } load = {1, 2, (uintptr_t)code, (uintptr_t)"GPL"};
    struct { uint32_t type, key, value, entries; char rest[112]; } map = {2, 4, 8, 1};
    int fd = syscall(SYS_bpf, 5, &load, sizeof load);
    if (fd != -1 || errno != EPERM) return printf("breached: a program was loaded, or refused with %d\n", errno), 1;
    if (syscall(SYS_bpf, 0, &map, sizeof map) != -1 || errno != EPERM) return puts("breached: a map was made"), 1;
    for (int command = 0; command < 40; command++)
        if (syscall(SYS_bpf, command, 0, 0) != -1 || errno != EPERM) return printf("breached: command %d\n", command), 1;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && setsockopt(pair[0], SOL_SOCKET, 50, &pair[1], sizeof(int)) == 0)
        return puts("breached: a socket took a program"), 1;
    puts("held");
}
