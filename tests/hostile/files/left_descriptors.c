// tries: to find and use a descriptor that was left open, or a directory above a descriptor's
// right: held
// args: ["{host_file}"]
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    // Above the limit there is nothing to be opened, but there could be something inherited.
    for (int fd = 0; fd < 70000; fd++) {
        struct stat found;
        if (fstat(fd, &found) == -1 && errno == EBADF) {
            if (fd < 3) return printf("breached: descriptor %d is missing\n", fd), 1;
            continue;
        }
        if (fd > 2) return printf("breached: descriptor %d is open\n", fd), 1;
        if (!S_ISFIFO(found.st_mode)) return printf("breached: descriptor %d is of mode %o\n", fd, found.st_mode), 1;
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d/..", fd);
        if (open(path, O_PATH) != -1) return printf("breached: %s\n", path), 1;
        // Reading the other end of an output, or writing that of the input.
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        int other = open(path, (fd == 0 ? O_WRONLY : O_RDONLY) | O_NONBLOCK);
        char byte;
        if (other != -1 && fd > 0 && read(other, &byte, 1) > 0) return printf("breached: output of %d was read\n", fd), 1;
        if (other != -1) close(other);
    }
    DIR *listing = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(listing));)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) > 2 && atoi(entry->d_name) != dirfd(listing))
            return printf("breached: descriptor %s is listed\n", entry->d_name), 1;
    puts("held");
}
