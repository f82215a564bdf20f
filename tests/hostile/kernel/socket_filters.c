// tries: to use up the room for compiled programs that seccomp filters of all sandboxes need, by filters of sockets
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    struct { uint16_t code; uint8_t jt, jf; uint32_t k; } code[] = {{6, 0, 0, 0}};
    struct { unsigned short length; void *code; } program = {1, code};
    // SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF and _EBPF
    const long options[] = {26, 50, 51, 52};
    int socket_of_udp = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    if (setsockopt(socket_of_udp, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on)) return perror("a harmless option"), 1;
    for (int i = 0; i < 4; i++) {
        const long halves[] = {0, 1L << 32};
        for (int half = 0; half < 2; half++)
            if (syscall(SYS_setsockopt, socket_of_udp, 1 | halves[half], options[i] | halves[half], &program, sizeof program) != -1 || errno != EPERM)
                return printf("breached: option %ld, error %d\n", options[i], errno), 1;
    }
    puts("held");
}
