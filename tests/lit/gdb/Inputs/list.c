#include <stdio.h>
#include <string.h>

static int total, limit = 100;
static char letter = 'a';

static void add(const char *word)
{
    total += (int)strlen(word);
}

static int square(int n)
{
    return n * n;
}

static double half(double x)
{
    return x / 2;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        add(argv[i]);
    if (total > limit)
        letter = 'z';
    letter++;
    if (half(25) != 12.5 || square(2) != 4)
        return 1;
    printf("total %d %c\n", total, letter);
    return 43;
}
