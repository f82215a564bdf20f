// tries: to take more memory than its limit in children, of which each keeps below it
// right: out_of_memory
// limits: {"memory_bytes": 50331648, "pids": 32}
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    for (int child = 0; child < 12; child++)
        if (fork() == 0) {
            for (volatile char *at = malloc(8 << 20), *end = at + (8 << 20); at < end; at += 4096) *at = 1;
            for (;;) pause();
        }
    for (;;) pause();
}
