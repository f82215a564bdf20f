// The interpreter of a small language, linked with musl: forked as a zygote by the shim, or spawned for a file.

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sandboxed {
    const char *strings;
    size_t strings_len;
    uint32_t args, variables;
};

static void *say_from_a_thread(void *text) {
    printf("a thread says %s", (char *)text);
    return NULL;
}

// One command a line: `say TEXT`, `thread TEXT`, `abort`, `exit CODE`.
static int run(const char *path) {
    char line[200];
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        return 2;
    }
    while (fgets(line, sizeof line, file)) {
        pthread_t thread;
        if (!strncmp(line, "say ", 4)) {
            fputs(line + 4, stdout);
        } else if (!strncmp(line, "thread ", 7)) {
            pthread_create(&thread, NULL, say_from_a_thread, line + 7);
            pthread_join(thread, NULL);
        } else if (!strncmp(line, "abort", 5)) {
            abort();
        } else if (!strncmp(line, "exit ", 5)) {
            return atoi(line + 5);
        }
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "--version")) {
        puts("Small 1.0");
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--zygote")) {
        return run(argv[1]);
    }
    void *shim = dlopen("/.soulbox/libsoulbox.so", RTLD_NOW);
    if (!shim) {
        fputs(dlerror(), stderr);
        return 1;
    }
    int (*serve)(void) = (int (*)(void))dlsym(shim, "soulbox_serve");
    void (*receive)(struct sandboxed *) = (void (*)(struct sandboxed *))dlsym(shim, "soulbox_receive");
    if (!serve || !receive || serve() < 0) {
        return 1;
    }
    struct sandboxed sandboxed;
    receive(&sandboxed);
    return run(sandboxed.strings);
}
