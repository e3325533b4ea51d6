#include "examples/tiny-lm/corpus.h"

#include "examples/tiny-lm/stories.h"

enum { VOCABULARY_STORIES = 4000, TWO_IN = 4 };

void corpus_story(uint64_t seed, corpus_part part, uint64_t index, text *out)
{
    random_stream r = random_create(seed, part, index);
    story_append(&r, out);
}

corpus corpus_create(arena *a, diagnostics *d, uint64_t seed, size_t vocabulary_limit)
{
    text stories = {0};
    for (uint64_t i = 0; i < VOCABULARY_STORIES; i++) {
        corpus_story(seed, CORPUS_VOCABULARY, i, &stories);
        text_char(&stories, '\n');
    }
    corpus c = {seed, bpe_train(a, stories.data, stories.length, vocabulary_limit), NULL};
    c.tokenizer = bpe_tokenizer(a, d, &c.vocabulary);
    text_free(&stories);
    return c;
}

int corpus_sequence(const corpus *c, corpus_part part, uint64_t index, int limit, uint32_t *tokens)
{
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(stderr);
    random_stream r = random_create(c->seed, part, index);
    text story = {0};
    token_list list = {0};
    story_append(&r, &story);
    if (random_below(&r, TWO_IN) == 0) {
        text_append(&story, "\n\n");
        story_append(&r, &story);
    }
    if (!tokenizer_encode(c->tokenizer, a, d, story.data, story.length,
                          (encode_options){.add_special = true}, &list))
        INTERNAL_ERROR("a story has no tokens");
    ARRAY_PUSH(a, &list, BPE_EOS);
    int count = list.count < (size_t)limit ? (int)list.count : limit;
    for (int i = 0; i < count; i++)
        tokens[i] = list.items[i];
    text_free(&story);
    diagnostics_destroy(d);
    arena_destroy(a);
    return count;
}
