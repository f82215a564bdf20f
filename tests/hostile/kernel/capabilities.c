// tries: to have, raise or inherit a capability
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    int sets = 0;
    while (fgets(line, sizeof line, status)) {
        if (strncmp(line, "Cap", 3)) continue;
        sets++;
        if (!strstr(line, "0000000000000000")) return printf("breached: %s", line), 1;
    }
    if (sets != 5) return puts("breached: not all sets can be seen"), 1;
    for (int capability = 0; capability < 64; capability++) {
        uint32_t header[2] = {0x20080522, 0}, data[6] = {0};
        for (int i = 0; i < 3; i++) data[i + (capability >= 32 ? 3 : 0)] = 1u << capability % 32;
        if (syscall(SYS_capset, header, data) != -1) return printf("breached: capset %d\n", capability), 1;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != -1) return printf("breached: ambient %d\n", capability), 1;
        if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) > 0) return printf("breached: bounding %d\n", capability), 1;
    }
    if (prctl(PR_SET_SECUREBITS, 0x2f, 0, 0, 0) != -1 || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != -1) return puts("breached: secure bits"), 1;
    puts("held");
}
