// Small vocabularies that need no file, for tests and the fuzzer.
#pragma once

#include "support/tokenizer/tokenizer.h"

#include <stdio.h>
#include <string.h>

enum { FIXTURE_TOKENS = 320, FIXTURE_MERGES = 16 };

typedef struct fixture {
    vocabulary vocabulary;
    token_bytes tokens[FIXTURE_TOKENS], merges[FIXTURE_MERGES];
    float scores[FIXTURE_TOKENS];
    int32_t types[FIXTURE_TOKENS];
    char spelled[256][8]; // of the bytes
} fixture;

static inline token_bytes bytes_of(const char *s)
{
    return (token_bytes){s, strlen(s)};
}

static inline uint32_t fixture_add(fixture *f, const char *spelled, token_type type, float score)
{
    size_t id = f->vocabulary.token_count++;
    f->tokens[id] = bytes_of(spelled);
    f->types[id] = (int32_t)type;
    f->scores[id] = score;
    f->vocabulary.score_count = f->vocabulary.type_count = f->vocabulary.token_count;
    return (uint32_t)id;
}

static inline void fixture_merge(fixture *f, const char *merge)
{
    f->merges[f->vocabulary.merge_count++] = bytes_of(merge);
}

static inline void fixture_begin(fixture *f, const char *model)
{
    memset(f, 0, sizeof *f);
    f->vocabulary = (vocabulary){.name = "tiny.gguf",
                                 .model = model,
                                 .tokens = f->tokens,
                                 .scores = f->scores,
                                 .types = f->types,
                                 .merges = f->merges,
                                 .special = {-1, -1, -1, -1},
                                 .add_bos = -1,
                                 .add_eos = -1,
                                 .add_space_prefix = -1};
}

// 0 to 2: unknown, begin, end; 3 to 258: bytes; then characters, words and a user-defined token.
static inline void fixture_llama(fixture *f)
{
    static const struct {
        const char *spelled;
        float score;
    } pieces[] = {
        {"\xe2\x96\x81", -1},
        {"a", -2},
        {"b", -3},
        {"c", -4},
        {"ab", -10},
        {"bc", -5},
        {"abc", -6},
        {"aa", -7},
        {"é", -20},
        {"\xe2\x96\x81"
         "ab",
         -8},
    };
    fixture_begin(f, "llama");
    f->vocabulary.special = (special_tokens){.bos = 1, .eos = 2, .eot = -1, .unknown = 0};
    fixture_add(f, "<unk>", TOKEN_UNKNOWN, 0);
    fixture_add(f, "<s>", TOKEN_CONTROL, 0);
    fixture_add(f, "</s>", TOKEN_CONTROL, 0);
    for (unsigned byte = 0; byte < 256; byte++) {
        snprintf(f->spelled[byte], sizeof f->spelled[byte], "<0x%02X>", byte);
        fixture_add(f, f->spelled[byte], TOKEN_BYTE, 0);
    }
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        fixture_add(f, pieces[i].spelled, TOKEN_NORMAL, pieces[i].score);
    fixture_add(f, "<tool>", TOKEN_USER_DEFINED, 0);
}

// 0 to 255: bytes, by their number; then a few merges' results and two special tokens.
static inline void fixture_gpt2(fixture *f, const char *pre)
{
    static const char *const pieces[] = {"ab", "bc", "abc", "aa", "Ġa", "Ġab", "11", "112"};
    static const char *const merges[] = {"b c", "a b", "a bc", "a a", "Ġ a", "Ġ ab", "1 1", "11 2"};
    fixture_begin(f, "gpt2");
    f->vocabulary.pre = pre;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool printable = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        unsigned c = printable ? byte : byte <= 32 ? 256 + byte : byte == 173 ? 323 : 162 + byte;
        if (c < 128)
            snprintf(f->spelled[byte], sizeof f->spelled[byte], "%c", (char)c);
        else
            snprintf(f->spelled[byte], sizeof f->spelled[byte], "%c%c", (char)(0xc0 | c >> 6),
                     (char)(0x80 | (c & 0x3f)));
        fixture_add(f, f->spelled[byte], TOKEN_NORMAL, 0);
    }
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        fixture_add(f, pieces[i], TOKEN_NORMAL, 0);
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++)
        fixture_merge(f, merges[i]);
    f->vocabulary.special.eos = fixture_add(f, "<|end|>", TOKEN_CONTROL, 0);
    f->vocabulary.special.bos = f->vocabulary.special.eos;
    fixture_add(f, "<tool>", TOKEN_USER_DEFINED, 0);
}
