// What printf can do, varargs, and numbers read back.
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static void integers(void)
{
    static const long long values[] = {0, 1, -1, 42, -1000, INT_MAX, INT_MIN, LLONG_MAX, LLONG_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        long long v = values[i];
        printf("[%d] [%5i] [%-9d] [%+d] [% d] [%08d]\n", (int)v, (int)v, (int)v, (int)v, (int)v,
               (int)v);
        printf("[%lld] [%22lld] [%#llx] [%llo] [%llX] [%llu]\n", v, v, v, v, v, v);
        printf("[%hhd] [%hd] [%hu] [%zd] [%td] [%jd]\n", (signed char)v, (short)v,
               (unsigned short)v, (ssize_t)v, (ptrdiff_t)v, (intmax_t)v);
        printf("[%.3d] [%10.4d] [%-10.4x] [%*d] [%-*d] [%.*d]\n", (int)v, (int)v, (unsigned)v, 12,
               (int)v, 12, (int)v, 6, (int)v);
    }
}

static void floats(void)
{
    static const double values[] = {
        0.0, -0.0, 1.0,     -1.5,  3.14159265358979, 1e10, 1e-10,   123456.789, 1e100, 2.5,
        3.5, 0.1,  1.0 / 3, 1e308, 5e-324,           1e15, 99999.95};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        double v = values[i];
        printf("[%f] [%e] [%g] [%a]\n", v, v, v, v);
        printf("[%.0f] [%.3f] [%10.2f] [%-12.1e] [%+.10g] [%#.0f] [%G]\n", v, v, v, v, v, v, v);
    }
    printf("%f %F %e %g %5.1f\n", 1.0 / 0.0, -1.0 / 0.0, 1e300 * 1e10, 0.0 / 0.0 < 0 ? 1.0 : 2.0,
           1e300 * 1e300);
    printf("%.30Lf %.20Lg %La\n", 1.0L / 3, 2.0L / 7, 0.1L);
}

static void texts(void)
{
    int written = 0;
    printf("[%s] [%10s] [%-10s] [%.3s] [%c] [%%] [%5c]\n", "abc", "right", "left", "cut", 'x', 'y');
    printf("%d%n", 12345, &written);
    printf(" %d written\n", written);
    printf("%3$s %1$s %2$s\n", "one", "two", "three");
    printf("%ls %lc\n", L"wide", (wint_t)L'w');
    char line[16];
    int wanted = snprintf(line, sizeof line, "%s", "a text longer than the line");
    printf("%s %d\n", line, wanted);
}

static double sum(const char *kinds, ...)
{
    va_list list, copy;
    double total = 0;
    va_start(list, kinds);
    va_copy(copy, list);
    for (const char *k = kinds; *k; k++)
        total += *k == 'i'   ? va_arg(list, int)
                 : *k == 'l' ? (double)va_arg(list, long)
                 : *k == 'd' ? va_arg(list, double)
                             : (double)va_arg(list, long double);
    total *= *kinds == 'i' ? va_arg(copy, int) : va_arg(copy, double);
    va_end(copy);
    va_end(list);
    return total;
}

static void format(const char *pattern, ...)
{
    va_list list;
    va_start(list, pattern);
    vprintf(pattern, list);
    va_end(list);
}

static void scans(void)
{
    int i = 0, n = 0;
    double d = 0;
    float f = 0;
    unsigned x = 0;
    char word[16] = "", set[16] = "";
    int got = sscanf("  -42 3.25e2 0x1f.8p0 deadBEEF word abc123 tail",
                     "%d %lf %f %x %15s %15[a-c]%n", &i, &d, &f, &x, word, set, &n);
    printf("%d: %d %g %g %x %s %s %d\n", got, i, d, f, x, word, set, n);
    printf("%ld %lu %lld\n", strtol("-0x7fz", NULL, 16), strtoul("777", NULL, 8),
           strtoll("99999999999999999999", NULL, 10));
    printf("%.17g %.17g %.9g %.17g\n", strtod("1.7976931348623157e308", NULL),
           strtod("4.9406564584124654e-324", NULL), strtof("3.4028235e38", NULL),
           strtod("0.1e-5xyz", NULL));
}

int main(void)
{
    integers();
    floats();
    texts();
    printf("%g %g\n", sum("iild", 1, 2, 3L, 4.5), sum("ddLi", 1.5, 2.5, 3.5L, 4));
    format("%d %s %g %c %ld %Lg\n", 1, "two", 3.0, '4', 5L, 6.0L);
    scans();
    fprintf(stderr, "to stderr\n");
    return 0;
}
