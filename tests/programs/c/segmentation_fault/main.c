#include <stdio.h>

int main(int argc, char **argv) {
    puts("before");
    fflush(stdout);
    volatile int *nowhere = (int *)(long)(argc - 1);
    return *nowhere + (argv == NULL);
}
