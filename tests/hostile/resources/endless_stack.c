// tries: to grow its stack without end
// right: killed
// limits: {"memory_bytes": 134217728}
#include <stdio.h>

__attribute__((optimize("O0"))) static int deeper(volatile char *above) {
    volatile char frame[4096];
    frame[0] = above[0] + 1;
    return deeper(frame) + frame[0];
}

int main(void) {
    volatile char first = 0;
    return deeper(&first);
}
