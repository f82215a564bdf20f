#include <stdio.h>

int main(void) {
    for (int i = 0; i < 4000; i++) printf("%04d%096d\n", i, i);
}
