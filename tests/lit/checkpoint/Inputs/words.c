// Reads the file of its argument again and again, word by word, into lists on the heap and in a
// mapping; says now and then how far it is, and a sum of all at the end.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ROUNDS = 40, EVERY = 1000, AREA = 1 << 20 };

typedef struct word {
    struct word *next;
    char text[];
} word;

static void handler(int number)
{
    exit(number);
}

static unsigned long sum_of(const word *w)
{
    unsigned long sum = 0;
    for (; w; w = w->next)
        for (const char *c = w->text; *c; c++)
            sum = sum * 31 + (unsigned char)*c;
    return sum;
}

int main(int argc, char **argv)
{
    FILE *file = fopen(argv[argc - 1], "r");
    word *list = NULL;
    char text[256];
    unsigned long count = 0, sum = 0;
    unsigned char *area =
        mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!file || area == MAP_FAILED)
        return 1;
    signal(SIGTERM, handler);
    for (int round = 0; round < ROUNDS; round++) {
        rewind(file);
        while (fscanf(file, "%255s", text) == 1) {
            word *w = malloc(sizeof *w + strlen(text) + 1);
            w->next = list;
            strcpy(w->text, text);
            list = w;
            area[count * 977 % AREA] += (unsigned char)text[0];
            if (++count % EVERY == 0)
                printf("%lu words\n", count);
        }
    }
    for (int i = 0; i < AREA; i++)
        sum += area[i] * (unsigned long)i;
    printf("done: %lu words, %lx, %lx, handler %d\n", count, sum_of(list), sum,
           signal(SIGTERM, SIG_DFL) == handler);
    return 0;
}
