// tries: to take memory by the kernel's records of mappings alone
// right: held
// limits: {"memory_bytes": 33554432, "wall_time_ms": 20000}
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

int main(void) {
    long count = 0;
    for (; count < 1 << 20; count++)
        if (mmap(0, 4096, count % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) break;
    if (count >= 1 << 20) return puts("breached: a million mappings"), 1;
    puts("held");
}
