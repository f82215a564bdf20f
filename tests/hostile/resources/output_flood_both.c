// tries: to flood both of its outputs at once
// right: output_limit_exceeded
// limits: {"output_bytes": 65536, "wall_time_ms": 20000}
#include <string.h>
#include <unistd.h>

static char bytes[1 << 16];

int main(void) {
    memset(bytes, 'x', sizeof bytes);
    int stream = fork() == 0 ? 1 : 2;
    for (;;) (void)!write(stream, bytes, sizeof bytes);
}
