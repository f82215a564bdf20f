// tries: to overwrite the program that it runs as, and by it what the next one executes (CVE-2019-5736)
// right: held
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int can_write(const char *path) {
    int fd = open(path, O_WRONLY), plain = open(path, O_PATH), got = fd != -1 || truncate(path, 0) == 0;
    char again[64];
    snprintf(again, sizeof again, "/proc/self/fd/%d", plain);
    fd = open(again, O_WRONLY | O_TRUNC);
    if (fd != -1 && write(fd, "x", 1) == 1) got = 1;
    int readable = open(path, O_RDONLY);
    if (mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, readable, 0) != MAP_FAILED) got = 1;
    if (got) printf("breached: %s can be written\n", path);
    return got;
}

int main(void) {
    const char *paths[] = {"/proc/self/exe", "/proc/1/exe", "/usr/bin/cc", "/usr/bin/env", "/bin/sh",
        "/lib64/ld-linux-x86-64.so.2", "/.soulbox/soulbox-init"};
    for (int i = 0; i < 7; i++) if (can_write(paths[i])) return 1;
    // When another program runs, the first one's file is busy no more.
    int child = fork(), status;
    if (child == 0) {
        execl("/usr/bin/sleep", "sleep", "0.2", (char *)0);
        _exit(1);
    }
    for (int i = 0; i < 20; i++, usleep(5000)) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/exe", child);
        if (open(path, O_WRONLY) != -1) {
            char target[64] = "";
            (void)!readlink(path, target, sizeof target - 1);
            return printf("breached: %s, which is %s\n", path, target), 1;
        }
    }
    waitpid(child, &status, 0);
    puts("held");
}
