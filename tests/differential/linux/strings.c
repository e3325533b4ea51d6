// Strings, sorting, searching, jumping out, exit handlers.
#include <ctype.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t state = 12345;
static uint32_t next(void)
{
    return state = state * 1664525 + 1013904223;
}

static void copies(void)
{
    char a[300], b[300];
    unsigned long hash = 0;
    for (size_t size = 0; size < 140; size += 1 + size / 9)
        for (size_t from = 0; from < 9; from++)
            for (size_t to = 0; to < 9; to++) {
                for (size_t i = 0; i < sizeof a; i++) {
                    a[i] = (char)next();
                    b[i] = (char)i;
                }
                memcpy(b + to, a + from, size);
                memmove(b + to + 3, b + to, size);
                memset(b + size + 20, to, from);
                for (size_t i = 0; i < sizeof b; i++)
                    hash = hash * 31 + (unsigned char)b[i];
                hash += memcmp(a + from, b + to + 3, size) == 0;
            }
    printf("copies %lu\n", hash);
}

static int sign(int x)
{
    return (x > 0) - (x < 0);
}

static void texts(void)
{
    static const char *const words[] = {
        "",      "a",    "ab", "abc", "abd", "the quick brown fox", "the quick brown dog",
        "zebra", "Zebra"};
    enum { WORDS = sizeof words / sizeof *words };
    for (int i = 0; i < WORDS; i++)
        for (int j = 0; j < WORDS; j++)
            printf("%d%d%d ", sign(strcmp(words[i], words[j])),
                   sign(strncmp(words[i], words[j], 2)), strstr(words[i], words[j]) != NULL);
    char line[200] = "";
    for (int i = 0; i < WORDS; i++)
        strncat(strcat(line, words[i]), ",;", 2);
    printf("\n%s %zu %s %s\n", line, strlen(line), strchr(line, 'q'), strrchr(line, 'b'));
    printf("%zu %zu %s\n", strspn(line, "abc,;"), strcspn(line, "q"), strpbrk(line, "xyz"));
    char *rest = NULL;
    for (char *t = strtok_r(line, ",; ", &rest); t; t = strtok_r(NULL, ",; ", &rest))
        printf("<%s>", t);
    printf("\n%s\n", (char *)memchr("find the x here", 'x', 15));
    for (int c = 0; c < 128; c++)
        printf("%x", !!isalpha(c) | !!isdigit(c) << 1 | !!isspace(c) << 2 | !!ispunct(c) << 3);
    printf("\n%s\n", strerror(2));
}

static int compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sorting(void)
{
    enum { COUNT = 20000 };
    int *numbers = malloc(COUNT * sizeof *numbers), wrong = 0;
    for (int i = 0; i < COUNT; i++)
        numbers[i] = (int)next() % 50000;
    int wanted = numbers[77];
    qsort(numbers, COUNT, sizeof *numbers, compare);
    for (int i = 1; i < COUNT; i++)
        wrong += numbers[i - 1] > numbers[i];
    int *found = bsearch(&wanted, numbers, COUNT, sizeof *numbers, compare);
    printf("sorted, %d wrong; %d %d\n", wrong, found && *found == wanted, numbers[COUNT / 2]);
    free(numbers);
    char *names[] = {"pear", "apple", "fig", "quince", "banana", "cherry", "date"};
    qsort(names, 7, sizeof *names, compare_texts);
    for (int i = 0; i < 7; i++)
        printf("%s ", names[i]);
    printf("\n");
}

static jmp_buf out;

static void descend(int depth, double kept)
{
    volatile double local = kept * 2;
    if (depth == 0)
        longjmp(out, 7);
    descend(depth - 1, local);
}

static void jumping(void)
{
    volatile int rounds = 0;
    int value = setjmp(out);
    printf("setjmp %d, round %d\n", value, rounds);
    if (rounds++ < 3)
        descend(5 * rounds, 1.5);
}

static void last(void)
{
    printf("at exit\n");
}

int main(int argc, char **argv)
{
    atexit(last);
    copies();
    texts();
    sorting();
    jumping();
    for (int i = 1; i < argc; i++)
        printf("argument %d: %s\n", i, argv[i]);
    printf("%s\n", getenv("HOME_OF_NOBODY") ? "environment" : "no environment");
    exit(41);
}
