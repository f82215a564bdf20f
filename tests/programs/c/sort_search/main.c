#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 200000 };

static uint32_t state = 12345;

static uint32_t next(void) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static void sort(uint32_t *values, uint32_t *scratch, size_t count) {
    if (count < 2) return;
    size_t half = count / 2;
    sort(values, scratch, half);
    sort(values + half, scratch, count - half);
    memcpy(scratch, values, half * sizeof *values);
    size_t left = 0, right = half, out = 0;
    while (left < half)
        values[out++] = right < count && values[right] < scratch[left] ? values[right++] : scratch[left++];
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int main(void) {
    uint32_t *mine = malloc(N * sizeof *mine), *theirs = malloc(N * sizeof *theirs);
    uint32_t *scratch = malloc(N * sizeof *scratch);
    for (int i = 0; i < N; i++) mine[i] = theirs[i] = next();
    sort(mine, scratch, N);
    qsort(theirs, N, sizeof *theirs, compare);
    printf("same: %s\n", memcmp(mine, theirs, N * sizeof *mine) == 0 ? "yes" : "no");
    uint32_t *found = bsearch(&theirs[N / 3], mine, N, sizeof *mine, compare);
    printf("found: %s\n", found && *found == theirs[N / 3] ? "yes" : "no");
    printf("ordered: %s\n", mine[0] <= mine[1] && mine[N - 2] <= mine[N - 1] ? "yes" : "no");
    free(mine), free(theirs), free(scratch);
}
