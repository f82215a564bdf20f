// tries: to take memory by the tables of mappings alone, a page in every two megabytes
// right: out_of_memory
// limits: {"memory_bytes": 16777216, "wall_time_ms": 20000}
#include <stdio.h>
#include <sys/mman.h>

int main(void) {
    volatile char sum = 0;
    for (;;) {
        char *map = mmap(0, 64L << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (map == MAP_FAILED) return perror("mmap"), 1;
        // Reading gives the one page of zeros, which is nobody's.
        for (long at = 0; at < 64L << 30; at += 2 << 20) sum += map[at];
    }
}
