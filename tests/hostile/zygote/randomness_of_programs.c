// tries: to draw what another program drew: the kernel's numbers, and the layout of memory
// right: held
// again: 5
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <unistd.h>

int main(void) {
    unsigned long bytes[2];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return 1;
    printf("getrandom %lx%lx\n", bytes[0], bytes[1]);
    memcpy(bytes, (void *)getauxval(AT_RANDOM), sizeof bytes);
    printf("start %lx%lx\n", bytes[0], bytes[1]);
    printf("stack %p\n", (void *)bytes);
    printf("code %p\n", (void *)(unsigned long)getauxval(AT_PHDR));
    printf("library %p\n", (void *)puts);
    char name[] = "/tmp/XXXXXX";
    printf("file %d%s\n", mkstemp(name) > 0, name);
    puts("held");
}
