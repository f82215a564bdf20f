// tries: to make a device node, and to use one
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int main(void) {
    const int numbers[][2] = {{0, 0}, {1, 1}, {1, 3}, {1, 5}, {1, 11}, {8, 0}, {10, 200}, {254, 0}, {259, 0}, {7, 0}};
    const mode_t kinds[] = {S_IFCHR, S_IFBLK};
    for (int i = 0; i < 10; i++)
        for (int kind = 0; kind < 2; kind++) {
            dev_t device = makedev(numbers[i][0], numbers[i][1]);
            if (mknod("/tmp/device", kinds[kind] | 0666, device) == 0) return printf("breached: %d:%d\n", numbers[i][0], numbers[i][1]), 1;
            if (mknodat(AT_FDCWD, "device", kinds[kind] | 0666, device) == 0) return printf("breached: at %d:%d\n", numbers[i][0], numbers[i][1]), 1;
        }
    // A whiteout is a device node by another name, and must at least be no device.
    close(open("/tmp/file", O_CREAT | O_WRONLY, 0600));
    if (renameat2(AT_FDCWD, "/tmp/file", AT_FDCWD, "/tmp/moved", 4) == 0 && open("/tmp/file", O_RDWR) != -1)
        return puts("breached: a whiteout can be opened"), 1;
    if (mkfifo("/tmp/fifo", 0600)) return puts("a fifo is no device"), 1;
    puts("held");
}
