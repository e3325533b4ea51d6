// Reads the file it is given in every way, and finds nothing else.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static void lines(const char *path)
{
    FILE *f = fopen(path, "r");
    char line[64];
    unsigned long count = 0, bytes = 0, numbers = 0;
    while (fgets(line, sizeof line, f)) {
        count += strchr(line, '\n') != NULL;
        bytes += strlen(line);
        numbers += strtoul(line, NULL, 10);
    }
    printf("%lu lines, %lu bytes, %lu, end %d\n", count, bytes, numbers, feof(f) != 0);
    rewind(f);
    int number = 0;
    printf("scanned %d", fscanf(f, "%d", &number));
    printf(" %d at %ld\n", number, ftell(f));
    fseek(f, -5, SEEK_END);
    printf("tail %zu", fread(line, 1, sizeof line, f));
    printf(" at %ld\n", ftell(f));
    printf("closed %d\n", fclose(f));
}

static unsigned hash(const unsigned char *bytes, size_t size)
{
    unsigned h = 2166136261u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ bytes[i]) * 16777619u;
    return h;
}

static void report(const char *what, long result)
{
    printf("%s %ld %d\n", what, result, result < 0 ? errno : 0);
}

static void calls(const char *path)
{
    struct stat s, t;
    int d = open(path, O_RDONLY);
    report("fstat", fstat(d, &s));
    report("stat", stat(path, &t));
    printf("%ld bytes, same %d %d\n", (long)s.st_size, s.st_size == t.st_size, S_ISREG(t.st_mode));
    unsigned char a[10] = "", b[1000] = "";
    struct iovec parts[] = {{a, sizeof a}, {b, sizeof b}};
    report("readv", readv(d, parts, 2));
    printf("%u %u\n", hash(a, 10), hash(b, 1000));
    report("pread", pread(d, b, 100, 50));
    printf("%u\n", hash(b, 100));
    report("at", lseek(d, 0, SEEK_CUR));
    report("before the end", lseek(d, -3, SEEK_END));
    report("read", read(d, b, 100));
    report("read", read(d, b, 100));
    unsigned char *m = mmap(NULL, s.st_size, PROT_READ, MAP_PRIVATE, d, 0);
    printf("mapped %u %d\n", hash(m, s.st_size), m[s.st_size]);
    printf("unmapped %d\n", munmap(m, s.st_size));
    report("isatty", isatty(d));
    report("close", close(d));
    report("close", close(d));
    report("read", read(d, b, 10));
    report("write", write(1, "written\n", 8));
    struct iovec words[] = {{"one ", 4}, {"", 0}, {"two\n", 4}};
    report("writev", writev(1, words, 3));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 3)
        return 2;
    lines(argv[1]);
    calls(argv[1]);
    report("absent", open(argv[2], O_RDONLY));
    return 0;
}
