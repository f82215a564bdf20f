#include <assert.h>
#include <stdio.h>

int main(int argc, char **argv) {
    (void)argv;
    printf("checking\n");
    fflush(stdout);
    assert(argc > 3);
}
