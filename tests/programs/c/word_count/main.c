#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024

struct word {
    struct word *next;
    int count;
    char text[];
};

static struct word *table[BUCKETS];

static void add(const char *text) {
    unsigned hash = 5381;
    for (const char *c = text; *c; c++) hash = hash * 33 + (unsigned char)*c;
    struct word **place = &table[hash % BUCKETS];
    while (*place && strcmp((*place)->text, text) != 0) place = &(*place)->next;
    if (!*place) {
        *place = calloc(1, sizeof **place + strlen(text) + 1);
        strcpy((*place)->text, text);
    }
    (*place)->count++;
}

static int by_count(const void *a, const void *b) {
    const struct word *x = *(struct word *const *)a, *y = *(struct word *const *)b;
    return x->count != y->count ? y->count - x->count : strcmp(x->text, y->text);
}

int main(void) {
    char word[64];
    size_t length = 0;
    int c;
    do {
        c = getchar();
        if (c != EOF && isalpha(c) && length < sizeof word - 1) {
            word[length++] = tolower(c);
        } else if (length) {
            word[length] = 0;
            add(word);
            length = 0;
        }
    } while (c != EOF);
    struct word *all[BUCKETS];
    int count = 0;
    for (int i = 0; i < BUCKETS; i++)
        for (struct word *w = table[i]; w; w = w->next) all[count++] = w;
    qsort(all, count, sizeof all[0], by_count);
    for (int i = 0; i < count && i < 5; i++) printf("%3d %s\n", all[i]->count, all[i]->text);
    printf("%d different\n", count);
}
