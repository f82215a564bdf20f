// tries: to speak to the hardware with instructions of the kernel's ring
// right: held
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void port(void) { __asm__ volatile("outb %%al, $0x80" ::"a"(0)); }
static void halt(void) { __asm__ volatile("cli; hlt"); }
static void model(void) { __asm__ volatile("rdmsr" ::"c"(0x10) : "eax", "edx"); }
static void control(void) { __asm__ volatile("mov %%cr0, %%rax" ::: "rax"); }

int main(void) {
    void (*instructions[])(void) = {port, halt, model, control};
    for (int i = 0; i < 4; i++) {
        int child = fork(), status;
        if (child == 0) instructions[i](), _exit(0);
        waitpid(child, &status, 0);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV) return printf("breached: instruction %d, status %x\n", i, status), 1;
    }
    puts("held");
}
