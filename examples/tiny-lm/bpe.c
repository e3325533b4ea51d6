#include "examples/tiny-lm/bpe.h"

#include <ctype.h>
#include <string.h>

#define SPACE "\xe2\x96\x81" // U+2581

enum { MAX_WORD = 64, MAX_SYMBOLS = 4096, WORD_SLOTS = 1 << 16 };

typedef struct word {
    char bytes[MAX_WORD]; // ' ' for U+2581
    uint16_t symbols[MAX_WORD];
    int length; // symbols
    uint32_t count;
} word;

typedef struct trainer {
    arena *arena;
    ARRAY_OF(word) words;
    uint32_t *slots; // index of a word + 1, by its hash
    char *symbols[MAX_SYMBOLS];
    size_t symbol_count;
    uint32_t *pairs; // how often, by left * MAX_SYMBOLS + right
} trainer;

// ------------------------------------------------------------------------------ words

static bool is_letter(char c)
{
    return isalpha((unsigned char)c) || c == '\'';
}

// A space, if there is one, with the run of letters or of other characters behind it.
static size_t word_length(const char *s, size_t length)
{
    size_t n = s[0] == ' ';
    bool letters = n < length && is_letter(s[n]);
    do
        n++;
    while (n < length && n < MAX_WORD - 1 && s[n] != ' ' && is_letter(s[n]) == letters);
    return n < length ? n : length;
}

static word *find_word(trainer *t, const char *bytes, size_t length)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * 16777619u;
    for (uint32_t slot = hash % WORD_SLOTS;; slot = (slot + 1) % WORD_SLOTS) {
        if (t->slots[slot] == 0) {
            ARRAY_PUSH(t->arena, &t->words, (word){.length = (int)length});
            t->slots[slot] = (uint32_t)t->words.count;
            word *new = &t->words.items[t->words.count - 1];
            memcpy(new->bytes, bytes, length);
            return new;
        }
        word *w = &t->words.items[t->slots[slot] - 1];
        if ((size_t)w->length == length && memcmp(w->bytes, bytes, length) == 0)
            return w;
    }
}

// The text as encoding sees it: with a space in front.
static void count_words(trainer *t, const char *stories, size_t length)
{
    char *spaced = arena_format(t->arena, " %.*s", (int)length, stories);
    for (char *s = spaced; *s; s++)
        if (*s == '\n')
            *s = ' ';
    for (size_t i = 0; i < length + 1;) {
        size_t n = word_length(spaced + i, length + 1 - i);
        find_word(t, spaced + i, n)->count++;
        i += n;
    }
}

// ---------------------------------------------------------------------------- symbols

static uint16_t add_symbol(trainer *t, const char *left, const char *right)
{
    if (t->symbol_count == MAX_SYMBOLS)
        INTERNAL_ERROR("more than %d tokens", MAX_SYMBOLS);
    t->symbols[t->symbol_count] = arena_format(t->arena, "%s%s", left, right);
    return (uint16_t)t->symbol_count++;
}

// The single characters that occur, in the order of their codes.
static void add_characters(trainer *t)
{
    uint16_t of[128] = {0};
    bool occurs[128] = {0};
    for (size_t i = 0; i < t->words.count; i++)
        for (int j = 0; j < t->words.items[i].length; j++)
            occurs[t->words.items[i].bytes[j] & 127] = true;
    for (int c = 0; c < 128; c++)
        if (occurs[c])
            of[c] = add_symbol(t, c == ' ' ? SPACE : (char[]){(char)c, '\0'}, "");
    for (size_t i = 0; i < t->words.count; i++)
        for (int j = 0; j < t->words.items[i].length; j++)
            t->words.items[i].symbols[j] = of[t->words.items[i].bytes[j] & 127];
}

// ----------------------------------------------------------------------------- merges

static uint32_t *pair_of(trainer *t, const word *w, int at)
{
    return &t->pairs[w->symbols[at] * MAX_SYMBOLS + w->symbols[at + 1]];
}

static void count_pairs(trainer *t, bool add)
{
    for (size_t i = 0; i < t->words.count; i++)
        for (int j = 0; j + 1 < t->words.items[i].length; j++)
            *pair_of(t, &t->words.items[i], j) =
                add ? *pair_of(t, &t->words.items[i], j) + t->words.items[i].count : 0;
}

// The most frequent one; of equals the first by its symbols' numbers. 0: none occurs twice.
static uint32_t best_pair(trainer *t)
{
    uint32_t best = 0, most = 1;
    for (size_t i = 0; i < t->words.count; i++)
        for (int j = 0; j + 1 < t->words.items[i].length; j++) {
            uint32_t *count = pair_of(t, &t->words.items[i], j), at = (uint32_t)(count - t->pairs);
            if (*count > most || (*count == most && most > 1 && at < best)) {
                most = *count;
                best = at;
            }
        }
    return most > 1 ? best : 0;
}

static void merge_in(word *w, uint16_t left, uint16_t right, uint16_t merged)
{
    int length = 0;
    for (int i = 0; i < w->length; i++) {
        bool here = i + 1 < w->length && w->symbols[i] == left && w->symbols[i + 1] == right;
        w->symbols[length++] = here ? merged : w->symbols[i];
        i += here;
    }
    w->length = length;
}

static bool merge_once(trainer *t)
{
    count_pairs(t, true);
    uint32_t best = best_pair(t);
    count_pairs(t, false);
    uint16_t left = (uint16_t)(best / MAX_SYMBOLS), right = (uint16_t)(best % MAX_SYMBOLS);
    if (best == 0)
        return false;
    uint16_t merged = add_symbol(t, t->symbols[left], t->symbols[right]);
    for (size_t i = 0; i < t->words.count; i++)
        merge_in(&t->words.items[i], left, right, merged);
    return true;
}

// ------------------------------------------------------------------------- vocabulary

static void put(bpe_vocabulary *v, const char *token, float score, token_type type)
{
    v->tokens[v->count] = token;
    v->scores[v->count] = score;
    v->types[v->count++] = (int32_t)type;
}

static void put_bytes(arena *a, bpe_vocabulary *v)
{
    put(v, "<unk>", 0, TOKEN_UNKNOWN);
    put(v, "<s>", 0, TOKEN_CONTROL);
    put(v, "</s>", 0, TOKEN_CONTROL);
    for (unsigned byte = 0; byte < 256; byte++)
        put(v, arena_format(a, "<0x%02X>", byte), 0, TOKEN_BYTE);
}

bpe_vocabulary bpe_train(arena *a, const char *stories, size_t length, size_t limit)
{
    trainer t = {.arena = a, .slots = ARENA_ARRAY(a, uint32_t, WORD_SLOTS)};
    t.pairs = ARENA_ARRAY(a, uint32_t, (size_t)MAX_SYMBOLS *MAX_SYMBOLS);
    bpe_vocabulary v = {ARENA_ARRAY(a, const char *, limit), ARENA_ARRAY(a, float, limit),
                        ARENA_ARRAY(a, int32_t, limit), 0};
    count_words(&t, stories, length);
    add_characters(&t);
    size_t characters = t.symbol_count;
    if (limit < BPE_FIRST_MERGE + characters)
        INTERNAL_ERROR("%zu tokens are too few for %zu characters", limit, characters);
    while (BPE_FIRST_MERGE + t.symbol_count < limit && merge_once(&t))
        continue;
    put_bytes(a, &v);
    for (size_t i = 0; i < t.symbol_count; i++) {
        size_t symbol = (i + characters) % t.symbol_count;
        put(&v, t.symbols[symbol], -(float)i, TOKEN_NORMAL);
    }
    return v;
}

tokenizer *bpe_tokenizer(arena *a, diagnostics *d, const bpe_vocabulary *v)
{
    token_bytes *tokens = ARENA_ARRAY(a, token_bytes, v->count);
    for (size_t i = 0; i < v->count; i++)
        tokens[i] = (token_bytes){v->tokens[i], strlen(v->tokens[i])};
    vocabulary all = {
        .name = "tiny-lm",
        .model = "llama",
        .tokens = tokens,
        .token_count = v->count,
        .scores = v->scores,
        .score_count = v->count,
        .types = v->types,
        .type_count = v->count,
        .special = {.bos = BPE_BOS, .eos = BPE_EOS, .eot = -1, .unknown = BPE_UNKNOWN},
        .add_bos = 1,
        .add_eos = 0,
        .add_space_prefix = -1,
    };
    return tokenizer_create(a, d, &all);
}
