// Makes ffn.gguf beside this file: the feed-forward network of one small block
// (192 wide, 512 inside), with random weights that have the shape of trained
// ones: nearly normal, and a few far out. Integers decide, so that every machine
// makes the same bytes.
//     make_ffn_weights FILE
#include "compiler/import/gguf_write.h"
#include "support/file.h"

enum { D = 192, F = 512 };

static uint64_t state = 20260101;

static uint64_t next_bits(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

// The sum of eight uniform bytes, to a standard deviation of about 1.
static float next_normal(void)
{
    uint64_t bits = next_bits();
    int sum = 0;
    for (int shift = 0; shift < 64; shift += 8)
        sum += (int)(bits >> shift & 255);
    return (float)(sum - 1020) / 209.0f;
}

// One weight in 1024 is eight times as large.
static void put_matrix(gguf_writer *g, arena *a, const char *name, int64_t n, int64_t k)
{
    float *values = ARENA_ARRAY(a, float, (size_t)(n * k));
    const float scale = k == D ? 0.0722f : 0.0442f; // 1 / sqrt(k)
    for (int64_t i = 0; i < n * k; i++) {
        float far = next_bits() % 1024 == 0 ? 8.0f : 1.0f;
        values[i] = next_normal() * scale * far;
    }
    gguf_put_floats(g, name, SCALAR_F16, 2, (int64_t[]){n, k}, values);
}

// Gains around 1, those of three channels around 4, as trained norms have them.
static void put_norm(gguf_writer *g, const char *name)
{
    float values[D];
    for (int i = 0; i < D; i++)
        values[i] = (i % 64 == 17 ? 4.0f : 1.0f) + 0.125f * next_normal();
    gguf_put_floats(g, name, SCALAR_F32, 1, (int64_t[]){D}, values);
}

static void put_model(gguf_writer *g, arena *a)
{
    gguf_put_text(g, "general.architecture", "llama");
    gguf_put_text(g, "general.name", "a feed-forward network with random weights");
    gguf_put_u32(g, "llama.block_count", 1);
    gguf_put_u32(g, "llama.embedding_length", D);
    gguf_put_u32(g, "llama.feed_forward_length", F);
    gguf_put_f32(g, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    put_norm(g, "blk.0.ffn_norm.weight");
    put_matrix(g, a, "blk.0.ffn_gate.weight", F, D);
    put_matrix(g, a, "blk.0.ffn_up.weight", F, D);
    put_matrix(g, a, "blk.0.ffn_down.weight", D, F);
}

static bool write_file(diagnostics *d, const char *path, const text *bytes)
{
    output_file *out = output_open(d, path);
    if (!out)
        return false;
    bool written = fwrite(bytes->data, bytes->length, 1, output_stream(out)) == 1;
    if (!written)
        diagnostic_error(d, NOWHERE, "%s cannot be written", path);
    if (written)
        return output_commit(d, out);
    output_abandon(out);
    return false;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_ffn_weights FILE\n");
        return EXIT_USAGE;
    }
    arena *a = arena_create();
    diagnostics *d = diagnostics_create(stderr);
    gguf_writer *g = gguf_writer_create(a);
    text bytes = {0};
    put_model(g, a);
    gguf_write(g, &bytes);
    bool good = write_file(d, argv[1], &bytes);
    text_free(&bytes);
    diagnostics_destroy(d);
    arena_destroy(a);
    return good ? EXIT_OK : EXIT_USER_ERROR;
}
