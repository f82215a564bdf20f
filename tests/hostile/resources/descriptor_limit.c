// tries: to open files without end, in itself, in children, and in flight between them
// right: held
// limits: {"pids": 16, "wall_time_ms": 20000, "memory_bytes": 134217728}
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_all(void) {
    int count = 0;
    while (count < 1 << 20 && open("/dev/null", O_RDONLY) != -1) count++;
    return errno == EMFILE ? count : 1 << 20;
}

int main(void) {
    int pair[2], null = open("/dev/null", O_RDONLY), flying = 0;
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair)) return 1;
    // Sent and never received: the kernel keeps them open (unix(7), ETOOMANYREFS).
    for (; flying < 1 << 16; flying++) {
        char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
        struct iovec data = {&byte, 1};
        struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &null, sizeof null);
        if (sendmsg(pair[0], &message, MSG_DONTWAIT) == -1) break;
    }
    if (flying >= 1 << 16) return puts("breached: in flight without end"), 1;
    for (int child = 0; child < 8; child++)
        if (fork() == 0) _exit(open_all() > 4096);
    int own = open_all();
    if (own > 4096) return printf("breached: %d\n", own), 1;
    for (int status; wait(&status) != -1;) if (status) return puts("breached: in a child"), 1;
    puts("held");
}
