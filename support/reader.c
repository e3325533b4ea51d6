#include "support/reader.h"

#include "support/text.h"

#include <string.h>

bool read_fail(byte_reader *r, const char *format, ...)
{
    if (!r->failed) {
        text message = {0};
        va_list args;
        va_start(args, format);
        text_vprintf(&message, format, args);
        va_end(args);
        diagnostic_error(r->diagnostics, r->where, "%s: %s (at byte %zu)", r->what,
                         text_string(&message), r->at);
        text_free(&message);
    }
    r->failed = true;
    return false;
}

bool read_skip(byte_reader *r, uint64_t count, const uint8_t **start)
{
    if (r->failed)
        return false;
    if (count > read_left(r))
        return read_fail(r, "the file ends here: %llu bytes wanted, %llu left",
                         (unsigned long long)count, (unsigned long long)read_left(r));
    *start = r->data + r->at;
    r->at += (size_t)count;
    return true;
}

bool read_bytes(byte_reader *r, void *out, size_t count)
{
    const uint8_t *start = NULL;
    if (!read_skip(r, count, &start))
        return false;
    memcpy(out, start, count);
    return true;
}

bool read_u32(byte_reader *r, uint32_t *out)
{
    return read_bytes(r, out, sizeof *out);
}
bool read_u64(byte_reader *r, uint64_t *out)
{
    return read_bytes(r, out, sizeof *out);
}

// Bytes of the sequence that starts with `lead`, or 0.
static size_t sequence_length(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead < 0xe0)
        return 2;
    if (lead >= 0xe0 && lead < 0xf0)
        return 3;
    return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}

// Overlong forms, surrogates and what is beyond U+10FFFF.
static bool second_byte_wrong(unsigned char lead, unsigned char second)
{
    return (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
           (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
}

bool utf8_valid(const char *data, size_t length)
{
    const unsigned char *s = (const unsigned char *)data;
    for (size_t i = 0; i < length;) {
        size_t n = sequence_length(s[i]);
        if (n == 0 || n > length - i || (n > 1 && second_byte_wrong(s[i], s[i + 1])))
            return false;
        for (size_t j = 1; j < n; j++)
            if ((s[i + j] & 0xc0) != 0x80)
                return false;
        i += n;
    }
    return true;
}

bool read_name(byte_reader *r, arena *a, const char **out)
{
    uint64_t length;
    const uint8_t *start = NULL;
    if (!read_u64(r, &length) || !read_skip(r, length, &start))
        return false;
    if (length == 0)
        return read_fail(r, "the name is empty");
    if (length > 65535)
        return read_fail(r, "the name has %llu bytes, more than 65535", (unsigned long long)length);
    if (memchr(start, 0, (size_t)length) || !utf8_valid((const char *)start, (size_t)length))
        return read_fail(r, "the name is not valid UTF-8 text");
    *out = arena_string(a, (const char *)start, (size_t)length);
    return true;
}
