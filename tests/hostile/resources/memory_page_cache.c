// tries: to have more files in memory than its limit, and to be ended for files that it only reads
// right: held
// limits: {"memory_bytes": 16777216}
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static long read_bytes;
static char buffer[1 << 16];

static int read_file(const char *path, const struct stat *found, int kind, struct FTW *where) {
    if (kind != FTW_F || !S_ISREG(found->st_mode) || found->st_size < 65536) return 0;
    int fd = open(path, O_RDONLY);
    if (fd == -1) return 0;
    char *map = mmap(0, found->st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) {
        volatile char sum = 0;
        for (long at = 0; at < found->st_size; at += 4096) sum += map[at];
        munmap(map, found->st_size);
    }
    for (long count; (count = read(fd, buffer, sizeof buffer)) > 0;) read_bytes += count;
    close(fd);
    return read_bytes > 96 << 20;
}

int main(void) {
    nftw("/usr/lib", read_file, 16, FTW_PHYS);
    if (read_bytes < 16 << 20) return printf("only %ld bytes were read\n", read_bytes), 1;
    puts("held");
}
