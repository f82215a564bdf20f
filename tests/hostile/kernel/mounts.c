// tries: to mount, remount and unmount, by the old calls and the new
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static int breaches;

static void refused(const char *what, long result) {
    if (result == -1 && errno == EPERM) return;
    printf("breached: %s gave %ld, error %d\n", what, result, errno);
    breaches++;
}

int main(void) {
    const long remount = 32, bind = 4096, move = 8192, shared = 1 << 20;
    const char *places[] = {"/", "/usr", "/etc", "/proc", "/dev", "/tmp", "/workspace"};
    for (int i = 0; i < 7; i++) {
        refused("tmpfs", syscall(SYS_mount, "x", places[i], "tmpfs", 0, 0));
        refused("proc", syscall(SYS_mount, "x", places[i], "proc", 0, 0));
        refused("remount", syscall(SYS_mount, "x", places[i], 0, remount, 0));
        refused("remount of a bind", syscall(SYS_mount, "x", places[i], 0, remount | bind, 0));
        refused("bind", syscall(SYS_mount, "/", places[i], 0, bind, 0));
        refused("move", syscall(SYS_mount, places[i], "/tmp", 0, move, 0));
        refused("propagation", syscall(SYS_mount, "x", places[i], 0, shared, 0));
        refused("unmount", syscall(SYS_umount2, places[i], 2));
        uint64_t attributes[4] = {0, 1, 0, 0};
        refused("mount_setattr", syscall(SYS_mount_setattr, -100, places[i], 0, attributes, sizeof attributes));
        refused("open_tree", syscall(SYS_open_tree, -100, places[i], 1));
        refused("fspick", syscall(SYS_fspick, -100, places[i], 0));
    }
    refused("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    refused("fsconfig", syscall(SYS_fsconfig, -1, 6, 0, 0, 0));
    refused("fsmount", syscall(SYS_fsmount, -1, 0, 0));
    refused("move_mount", syscall(SYS_move_mount, -1, "", -100, "/tmp", 4));
    refused("pivot_root", syscall(SYS_pivot_root, ".", "."));
    refused("chroot", syscall(SYS_chroot, "/tmp"));
    refused("quotactl", syscall(SYS_quotactl, 0, 0, 0, 0));
    if (!breaches) puts("held");
}
