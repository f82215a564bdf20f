#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct station {
    char name[32];
    double sum, squares, least, most;
    int count;
};

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct station *)a)->name, ((const struct station *)b)->name);
}

int main(void) {
    FILE *file = fopen("measurements.csv", "r");
    if (!file) {
        fprintf(stderr, "measurements.csv: %s\n", strerror(errno));
        return 1;
    }
    struct station stations[16];
    int count = 0;
    char line[128];
    if (!fgets(line, sizeof line, file)) return 1;
    while (fgets(line, sizeof line, file)) {
        char name[32];
        double value;
        if (sscanf(line, "%31[^,],%lf", name, &value) != 2) continue;
        int i = 0;
        while (i < count && strcmp(stations[i].name, name) != 0) i++;
        if (i == count) {
            stations[count++] = (struct station){.least = value, .most = value};
            strcpy(stations[i].name, name);
        }
        struct station *s = &stations[i];
        s->sum += value;
        s->squares += value * value;
        s->least = fmin(s->least, value);
        s->most = fmax(s->most, value);
        s->count++;
    }
    fclose(file);
    qsort(stations, count, sizeof stations[0], by_name);
    for (int i = 0; i < count; i++) {
        struct station *s = &stations[i];
        double mean = s->sum / s->count;
        printf("%-6s n=%d mean=%.3f deviation=%.3f range=%.2f..%.2f\n", s->name, s->count, mean,
               sqrt(s->squares / s->count - mean * mean), s->least, s->most);
    }
}
