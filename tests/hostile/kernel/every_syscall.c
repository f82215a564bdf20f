// tries: to make every system call by number, natively, as x32 and as i386, to find one that the profile does not say
// right: held
// stdin: {syscalls}
// limits: {"pids": 16, "output_bytes": 1048576}
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

struct result { volatile int returned; volatile long value; } *result;

// In line, so that a child that shares the stack, as after vfork, returns nowhere.
static inline __attribute__((always_inline)) long native(unsigned number, const unsigned long *a) {
    register unsigned long r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
    long value = (int)number;
    __asm__ volatile("syscall" : "+a"(value) : "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return value;
}

static inline __attribute__((always_inline)) long i386(unsigned number, const unsigned long *a) {
    int value = number;
    __asm__ volatile("int $0x80" : "+a"(value) : "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4]) : "r8", "r9", "r10", "r11", "memory");
    return value;
}

static void call(int is_native, unsigned number, const unsigned long *a, int patience_us) {
    struct itimerval alarm_at = {{0, 0}, {patience_us / 1000000, patience_us % 1000000}};
    setitimer(ITIMER_REAL, &alarm_at, 0);
    int self = getpid();
    long value = is_native ? native(number, a) : i386(number, a);
    // A child of this child is not who was asked.
    if (getpid() != self) _exit(0);
    result->value = value;
    result->returned = 1;
    _exit(0);
}

int main(void) {
    static char line[512];
    int wrong = 0, made = 0;
    result = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    while (fgets(line, sizeof line, stdin)) {
        char entry[16], answer[16];
        unsigned number;
        unsigned long a[6];
        if (sscanf(line, "%15s %u %15s %lu %lu %lu %lu %lu %lu", entry, &number, answer, a, a + 1, a + 2, a + 3, a + 4, a + 5) != 9)
            return printf("not a call: %s", line), 1;
        int is_native = !strcmp(entry, "native"), is_allowed = !strcmp(answer, "allowed"), status;
        result->returned = 0;
        fflush(stdout);
        int child = fork();
        if (child == -1) return perror("fork"), 1;
        // What is allowed may wait for ever; what is refused is told at once, however slow the host.
        if (child == 0) call(is_native, number, a, is_allowed ? 20000 : 20000000);
        if (waitpid(child, &status, 0) != child) return perror("waitpid"), 1;
        int end = WIFSIGNALED(status) ? WTERMSIG(status) : 0, right;
        if (is_allowed) right = end != SIGSYS && !(result->returned && result->value == -EPERM);
        // A kernel that has no 32-bit calls ends the process before it asks a filter.
        else if (!strcmp(answer, "killed")) right = end == SIGSYS || (!is_native && end == SIGSEGV);
        else right = result->returned && result->value == -atol(answer);
        // uretprobe and uprobe are the kernel's own, for its trampolines, and no filter is asked (Linux 6.14, 6.18).
        // Whoever else makes them gets nothing by it.
        if (is_native && (number == 335 || number == 336)) right |= end == SIGILL || (result->returned && result->value == -ENXIO);
        made++;
        if (right) continue;
        line[strcspn(line, "\n")] = 0;
        printf("breached: %s: returned %d, %ld, signal %d\n", line, result->returned, result->value, end);
        if (++wrong >= 20) return 1;
    }
    if (wrong) return 1;
    if (made < 1000) return printf("only %d calls were made\n", made), 1;
    puts("held");
}
