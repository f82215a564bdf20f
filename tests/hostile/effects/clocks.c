// tries: to set the host's clocks
// right: held
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

int main(void) {
    struct timespec before, after, wrong = {86400, 0};
    struct timeval wrong_value = {86400, 0};
    struct timex offset = {.modes = ADJ_SETOFFSET, .time = {1000, 0}};
    clock_gettime(CLOCK_REALTIME, &before);
    for (int clock = 0; clock < 12; clock++)
        if (syscall(SYS_clock_settime, clock, &wrong) != -1 || errno != EPERM) return printf("breached: clock %d\n", clock), 1;
    if (syscall(SYS_settimeofday, &wrong_value, 0) != -1 || errno != EPERM) return puts("breached: settimeofday"), 1;
    if (syscall(SYS_adjtimex, &offset) != -1 || errno != EPERM) return puts("breached: adjtimex"), 1;
    if (syscall(SYS_clock_adjtime, CLOCK_REALTIME, &offset) != -1 || errno != EPERM) return puts("breached: clock_adjtime"), 1;
    if (open("/dev/rtc", O_RDWR) != -1 || open("/dev/rtc0", O_RDWR) != -1 || open("/dev/ptp0", O_RDWR) != -1) return puts("breached: a clock's device"), 1;
    if (open("/proc/self/timens_offsets", O_RDWR) != -1 && write(open("/proc/self/timens_offsets", O_RDWR), "monotonic 1 0", 13) > 0)
        return puts("breached: offsets"), 1;
    clock_gettime(CLOCK_REALTIME, &after);
    if (after.tv_sec - before.tv_sec > 60 || after.tv_sec < before.tv_sec) return puts("breached: another time"), 1;
    puts("held");
}
