// tries: to lock memory, so that nobody can take it back
// right: held
// limits: {"memory_bytes": 67108864}
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>

int main(void) {
    char *map = mmap(0, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mlock(map, 1 << 20) == 0) return puts("breached: locked a megabyte"), 1;
    if (mlockall(MCL_CURRENT | MCL_FUTURE) == 0) return puts("breached: locked all"), 1;
    if (mmap(0, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) != MAP_FAILED) return puts("breached: mapped locked"), 1;
    puts("held");
}
