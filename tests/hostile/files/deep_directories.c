// tries: to nest directories so deep that nobody can remove them
// right: held
// limits: {"memory_bytes": 67108864, "disk_bytes": 33554432}
// output_files: ["**"]
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
    int depth = 0;
    for (; depth < 5000; depth++)
        if (mkdir("d", 0755) || chdir("d")) break;
    // Each takes memory of the kernel, which is this program's.
    fprintf(stderr, "%d directories, error %d\n", depth, errno);
    puts("held");
}
