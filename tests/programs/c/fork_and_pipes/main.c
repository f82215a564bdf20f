#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int ends[2];
    if (pipe(ends) != 0) return 1;
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        *shared = 42;
        dprintf(ends[1], "from the child");
        _exit(7);
    }
    close(ends[1]);
    char text[64] = "";
    ssize_t length = read(ends[0], text, sizeof text - 1);
    int status;
    if (waitpid(child, &status, 0) != child) return 2;
    printf("%zd %s, shared %d, exit %d\n", length, text, *shared, WEXITSTATUS(status));

    child = fork();
    if (child == 0) {
        raise(SIGTERM);
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("signal %d\n", WTERMSIG(status));

    fflush(stdout);
    child = fork();
    if (child == 0) {
        execlp("printf", "printf", "%s-%s\\n", "executed", "here", NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    printf("exit %d\n", WEXITSTATUS(status));

    FILE *sorted = popen("sort -r", "w");
    fputs("a\nc\nb\n", sorted);
    return pclose(sorted);
}
