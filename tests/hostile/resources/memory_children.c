// tries: to take more memory than its limit in children, of which each keeps below it
// right: out_of_memory
// limits: {"memory_bytes": 50331648, "pids": 32}
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    for (int child = 0; child < 12; child++)
        if (fork() == 0) {
            // Memory that is not volatile, and that nobody reads, a compiler may leave out.
            volatile char *kept = malloc(8 << 20);
            for (int at = 0; at < 8 << 20; at += 4096) kept[at] = 1;
            for (;;) pause();
        }
    for (;;) pause();
}
