#include <stdio.h>
#include <stdlib.h>

static void last(void) { puts("at exit"); }

int main(void) {
    atexit(last);
    fputs("something went wrong\n", stderr);
    exit(42);
}
