#include "compiler/quant/mix.h"

#include <stdlib.h>
#include <string.h>

// ---------------------------------------------------------------------------- names

// A number without leading zeros, at least 1; false: there is none.
static bool match_count(const char **at, int64_t *out)
{
    char *end;
    if (**at < '1' || **at > '9')
        return false;
    *out = strtoll(*at, &end, 10);
    *at = end;
    return *out <= INT32_MAX;
}

// The format up to the next '_' or the end.
static bool match_format(const char **at, quant_format *out)
{
    char name[sizeof out->name];
    size_t length = strcspn(*at, "_");
    if (length >= sizeof name)
        return false;
    memcpy(name, *at, length);
    name[length] = '\0';
    *at += length;
    return quant_format_parse(name, out);
}

// "_4x64_w4g64"
static bool match_part(const char **at, quant_mix *m)
{
    quant_part *p = &m->parts[m->n_parts];
    int64_t rows;
    const char *name = *at;
    if (m->n_parts == QUANT_PARTS || *name++ != '_' || !match_count(&name, &p->blocks) ||
        *name++ != 'x' || !match_count(&name, &rows) || *name++ != '_' ||
        !match_format(&name, &p->format) || (m->rows && m->rows != rows))
        return false;
    m->rows = rows;
    m->n_parts++;
    *at = name;
    return true;
}

// One table serves both.
static bool same_tables(const quant_format *a, const quant_format *b)
{
    bool learned = b->codebook && b->codebook->learned; // from all rows of the matrix
    return quant_looks_up(a) && quant_looks_up(b) && a->group == b->group &&
           a->offset == b->offset && a->scale == b->scale && a->codebook == b->codebook &&
           (a->kind == QUANT_SPECIAL) == (b->kind == QUANT_SPECIAL) && !learned;
}

bool quant_mix_parse(const char *name, quant_mix *out)
{
    quant_mix m = {.n_parts = 1};
    if (!match_format(&name, &m.parts[0].format))
        return false;
    while (*name)
        if (!match_part(&name, &m) ||
            !same_tables(&m.parts[0].format, &m.parts[m.n_parts - 1].format))
            return false;
    *out = m;
    return true;
}

static const char *difference(const quant_format *a, const quant_format *b)
{
    return !quant_looks_up(a) || !quant_looks_up(b) ? "is not in planes"
           : a->group != b->group                   ? "has other groups"
           : a->offset != b->offset                 ? "differs in its offsets"
           : a->scale != b->scale                   ? "has scales of another type"
           : a->codebook != b->codebook             ? "has another codebook"
           : same_tables(a, b)                      ? NULL
                                                    : "learns its codebook from the whole matrix";
}

const char *quant_mix_problem(arena *a, const char *name)
{
    quant_mix m = {.n_parts = 1};
    const quant_format *first = &m.parts[0].format;
    if (!strchr(name, '_'))
        return NULL;
    const char *whole = name;
    if (!match_format(&name, &m.parts[0].format))
        return arena_format(a, "'%.*s' is not a weight format", (int)strcspn(whole, "_"), whole);
    while (*name) {
        if (m.n_parts == QUANT_PARTS)
            return arena_format(a, "there are more than %d formats", QUANT_PARTS);
        if (!match_part(&name, &m))
            return "behind the first format, _COUNTxROWS_FORMAT or _SHARE%_FORMAT are expected, "
                   "with as many rows everywhere";
        const quant_format *last = &m.parts[m.n_parts - 1].format;
        const char *what = difference(first, last);
        if (what)
            return arena_format(a, "'%s' %s beside '%s', so that they look up other tables",
                                last->name, what, first->name);
    }
    return NULL;
}

// --------------------------------------------------------------------------- blocks

int64_t quant_mix_blocks(const quant_mix *m, int64_t n)
{
    return m->rows ? n / m->rows + (n % m->rows != 0) : 1;
}

void quant_mix_print(text *out, const quant_mix *m)
{
    text_append(out, m->parts[0].format.name);
    for (unsigned i = 1; i < m->n_parts; i++)
        text_printf(out, "_%lldx%lld_%s", (long long)m->parts[i].blocks, (long long)m->rows,
                    m->parts[i].format.name);
}

quant_mix quant_mix_in_blocks(const quant_mix *m, int64_t n, int64_t rows)
{
    const int64_t before = quant_mix_blocks(m, n);
    quant_mix out = {.n_parts = 1, .parts = {m->parts[0]}, .rows = rows};
    int64_t of_parts = 0, counted = 0;
    for (unsigned i = 1; i < m->n_parts; i++) {
        of_parts += m->parts[i].blocks; // sums of shares are rounded: they are never more than all
        double share = (double)of_parts / (double)before;
        int64_t count = (int64_t)((double)quant_mix_blocks(&out, n) * share + 0.5) - counted;
        counted += count;
        if (count)
            out.parts[out.n_parts++] = (quant_part){m->parts[i].format, count};
    }
    out.rows = out.n_parts > 1 ? rows : 0;
    return out;
}

int64_t quant_mix_block_rows(const quant_mix *m, int64_t n, int64_t block)
{
    if (!m->rows)
        return n;
    int64_t left = n - block * m->rows;
    return left < m->rows ? left : m->rows;
}

// The block, of those of the first part, that gains most in part `part`; -1: there is none.
static int64_t best_block(int64_t blocks, const double *errors, unsigned part,
                          const uint8_t *part_of_block)
{
    int64_t best = -1;
    double most = 0;
    for (int64_t b = 0; b < blocks; b++) {
        double gain = errors[b] - errors[part * blocks + b];
        if (part_of_block[b] == 0 && (best < 0 || gain > most)) {
            best = b;
            most = gain;
        }
    }
    return best;
}

void quant_mix_choose(const quant_mix *m, int64_t blocks, const double *errors,
                      uint8_t *part_of_block)
{
    memset(part_of_block, 0, (size_t)blocks);
    for (unsigned part = m->n_parts; part-- > 1;)
        for (int64_t i = 0; i < m->parts[part].blocks; i++) {
            int64_t block = best_block(blocks, errors, part, part_of_block);
            if (block >= 0)
                part_of_block[block] = (uint8_t)part;
        }
}

// -------------------------------------------------------------------------- packing

static bool place_part(pack_mix *p, unsigned i, int64_t k, pack_shape shape)
{
    pack_part *part = &p->parts[i];
    uint64_t bytes;
    if (!pack_geometry_of(&p->mix.parts[i].format, shape.tile_n, k, shape, &part->geometry))
        return false;
    part->at = (int64_t)p->size;
    return !__builtin_mul_overflow((uint64_t)part->geometry.column_tile_bytes,
                                   (uint64_t)part->tiles, &bytes) &&
           !__builtin_add_overflow(p->size, bytes, &p->size) && p->size <= INT64_MAX;
}

// A matrix of one format is packed as ever: a learned codebook stands in front.
static bool place_one(pack_mix *p, int64_t n, int64_t k, pack_shape shape)
{
    const quant_format *f = &p->mix.parts[0].format;
    pack_part *part = &p->parts[0];
    if (!pack_geometry_of(f, n, k, shape, &part->geometry))
        return false;
    part->tiles = p->tiles = part->geometry.column_tiles;
    part->at = part->geometry.book_bytes;
    p->size = pack_size(f, n, k, shape);
    return true;
}

bool pack_mix_of(const quant_mix *m, int64_t n, int64_t k, pack_shape shape, pack_mix *out)
{
    pack_mix p = {.mix = *m};
    if (!quant_is_mixed(m)) {
        bool good = place_one(&p, n, k, shape);
        *out = p;
        return good;
    }
    if (n < 1 || k < 1 || m->rows != shape.tile_n)
        return false;
    p.tiles = quant_mix_blocks(m, n);
    p.parts[0].tiles = p.tiles;
    for (unsigned i = 1; i < m->n_parts; i++) {
        p.parts[i].tiles = m->parts[i].blocks;
        p.parts[0].tiles -= m->parts[i].blocks;
    }
    p.map_bytes = (p.tiles * (int64_t)sizeof(int32_t) + 63) / 64 * 64;
    p.size = (uint64_t)p.map_bytes;
    bool good = p.parts[0].tiles >= 0 && p.tiles <= INT32_MAX;
    for (unsigned i = 0; i < m->n_parts && good; i++) {
        p.parts[i].first = i ? p.parts[i - 1].first + p.parts[i - 1].tiles : 0;
        good = place_part(&p, i, k, shape);
    }
    *out = p;
    return good;
}

bool pack_mix_named(const char *name, int64_t n, int64_t k, pack_shape shape, pack_mix *out)
{
    quant_mix m;
    return quant_mix_parse(name, &m) && pack_mix_of(&m, n, k, shape, out);
}

void pack_mix_map(const pack_mix *p, const uint8_t *part_of_block, uint8_t *out)
{
    int64_t at = 0;
    memset(out, 0, (size_t)p->map_bytes);
    for (unsigned part = 0; part < p->mix.n_parts; part++)
        for (int32_t tile = 0; tile < p->tiles; tile++)
            if (part_of_block[tile] == part)
                memcpy(out + 4 * at++, &tile, sizeof tile);
}

bool pack_mix_unmap(const pack_mix *p, const uint8_t *in, uint8_t *part_of_block)
{
    memset(part_of_block, QUANT_PARTS, (size_t)p->tiles);
    for (unsigned part = 0; part < p->mix.n_parts; part++) {
        int32_t before = -1, tile;
        for (int64_t i = 0; i < p->parts[part].tiles; i++, before = tile) {
            memcpy(&tile, in + 4 * (p->parts[part].first + i), sizeof tile);
            if (tile <= before || tile >= p->tiles || part_of_block[tile] != QUANT_PARTS)
                return false;
            part_of_block[tile] = (uint8_t)part;
        }
    }
    return true;
}
