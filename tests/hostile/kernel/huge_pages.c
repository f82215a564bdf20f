// tries: to take huge pages, which are the host's and counted for nobody
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    const long upper = 1L << 32;
    for (int size = 0; size < 64; size++) {
        long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (long)size << 26;
        if (syscall(SYS_mmap, 0, 1 << 21, 3, flags, -1, 0) != -1 || errno != EPERM) return printf("breached: size %d\n", size), 1;
        if (syscall(SYS_mmap, 0, 1 << 21, 3, flags | upper, -1, 0) != -1 || errno != EPERM) return printf("breached: size %d, upper half\n", size), 1;
        if (syscall(SYS_memfd_create, "x", 4 | (long)size << 26) != -1 || errno != EPERM) return printf("breached: file of size %d\n", size), 1;
    }
    puts("held");
}
