#include "examples/tiny-lm/network.h"

#include "examples/tiny-lm/layers.h"
#include "examples/tiny-lm/matmul.h"

#include <string.h>

// A norm and the rounding behind it: what goes into a matrix.
typedef struct input_record {
    const float *x;             // before the norm
    float *inverse, *q, *scale; // scale[row] * q is nearly the normed x
} input_record;

typedef struct layer_record {
    float *x, *middle; // the residual stream in front of attention and feed-forward network
    float *q, *k, *v, *weights, *attended, *gate, *up, *product;
    input_record into_qkv, into_output, into_ffn, into_down;
} layer_record;

struct network {
    const model *model;
    int rows;
    rotation rotation;
    layer_record *layers;
    float *last, *last_inverse, *out, *logits;
    float *ones, *normed, *scratch;
    // gradients
    float *dx, *dnormed, *dq, *dk, *dv, *dattended, *dgate, *dup, *dproduct, *scaled;
    float *gradient;
};

// ----------------------------------------------------------------------------- memory

static int wider(int x, int y)
{
    return x > y ? x : y;
}

static input_record input_create(arena *a, int context, int columns)
{
    return (input_record){
        .inverse = ARENA_ARRAY(a, float, (size_t)context),
        .scale = ARENA_ARRAY(a, float, (size_t)context),
        .q = ARENA_ARRAY(a, float, (size_t)(context * columns)),
    };
}

static layer_record layer_create(arena *a, const model_sizes *s)
{
    size_t t = (size_t)s->context, dim = (size_t)s->dim, kv = (size_t)kv_size(s);
    size_t ffn = (size_t)s->ffn;
    return (layer_record){
        .x = ARENA_ARRAY(a, float, t *dim),
        .middle = ARENA_ARRAY(a, float, t *dim),
        .q = ARENA_ARRAY(a, float, t *dim),
        .k = ARENA_ARRAY(a, float, t *kv),
        .v = ARENA_ARRAY(a, float, t *kv),
        .weights = ARENA_ARRAY(a, float, (size_t)s->heads *t *t),
        .attended = ARENA_ARRAY(a, float, t *dim),
        .gate = ARENA_ARRAY(a, float, t *ffn),
        .up = ARENA_ARRAY(a, float, t *ffn),
        .product = ARENA_ARRAY(a, float, t *ffn),
        .into_qkv = input_create(a, s->context, s->dim),
        .into_output = input_create(a, s->context, s->dim),
        .into_ffn = input_create(a, s->context, s->dim),
        .into_down = input_create(a, s->context, s->ffn),
    };
}

static void create_gradients(arena *a, network *n, const model_sizes *s)
{
    size_t t = (size_t)s->context, dim = (size_t)s->dim, ffn = (size_t)s->ffn;
    size_t wide = (size_t)wider(wider(s->dim, s->ffn), s->vocabulary);
    float **by_dim[] = {&n->dx, &n->dq, &n->dk, &n->dv, &n->dattended};
    float **by_ffn[] = {&n->dgate, &n->dup, &n->dproduct};
    for (size_t i = 0; i < sizeof by_dim / sizeof *by_dim; i++)
        *by_dim[i] = ARENA_ARRAY(a, float, t *dim);
    for (size_t i = 0; i < sizeof by_ffn / sizeof *by_ffn; i++)
        *by_ffn[i] = ARENA_ARRAY(a, float, t *ffn);
    n->dnormed = ARENA_ARRAY(a, float, t *wide);
    n->scaled = ARENA_ARRAY(a, float, t *wide);
}

network *network_create(arena *a, const model *m)
{
    const model_sizes *s = &m->sizes;
    network *n = ARENA_NEW(a, network);
    size_t t = (size_t)s->context, half = (size_t)head_size(s) / 2;
    int wide = wider(wider(wider(s->dim, s->ffn), s->vocabulary), s->context);
    n->model = m;
    n->rotation =
        (rotation){head_size(s), ARENA_ARRAY(a, float, t *half), ARENA_ARRAY(a, float, t *half)};
    rotation_fill(&n->rotation, s->context);
    n->layers = ARENA_ARRAY(a, layer_record, (size_t)s->layers);
    for (int i = 0; i < s->layers; i++)
        n->layers[i] = layer_create(a, s);
    n->last = ARENA_ARRAY(a, float, t *(size_t)s->dim);
    n->last_inverse = ARENA_ARRAY(a, float, t);
    n->out = ARENA_ARRAY(a, float, t *(size_t)s->dim);
    n->logits = ARENA_ARRAY(a, float, t *(size_t)s->vocabulary);
    n->normed = ARENA_ARRAY(a, float, t *(size_t)wide);
    n->ones = ARENA_ARRAY(a, float, t);
    for (size_t i = 0; i < t; i++)
        n->ones[i] = 1;
    n->scratch = ARENA_ARRAY(a, float, (size_t)matmul_scratch(wide, wide) + t * t);
    create_gradients(a, n, s);
    return n;
}

static const float *values(const network *n, int layer, tensor_role role)
{
    return model_values(n->model, model_tensor(n->model, layer, role));
}

static float *gradient(const network *n, int layer, tensor_role role)
{
    return n->gradient + model_tensor(n->model, layer, role)->first;
}

// ---------------------------------------------------------------------------- forward

// r = x under the norm of that role, rounded.
static void enter(network *n, int layer, tensor_role norm, const float *x, input_record *r)
{
    const tensor *t = model_tensor(n->model, layer, norm);
    bool exact = n->model->exact;
    r->x = x;
    rms_norm(n->rows, t->columns, n->model->epsilon, x, model_values(n->model, t),
             exact ? r->q : n->normed, r->inverse);
    if (exact)
        memcpy(r->scale, n->ones, (size_t)n->rows * sizeof *r->scale);
    else
        quantize_rows(n->rows, t->columns, n->normed, r->q, r->scale);
}

// y = scale * r.scale * (W r.q)
static void linear(network *n, int layer, tensor_role role, const input_record *r, float *y)
{
    const tensor *t = model_tensor(n->model, layer, role);
    matmul(n->rows, t->rows, t->columns, matrix_rows(r->q, t->columns),
           matrix_transposed(model_values(n->model, t), t->columns), y, t->rows, false, n->scratch);
    scale_rows(n->rows, t->rows, y, r->scale, t->scale);
}

static void add(int count, const float *x, const float *y, float *sum)
{
    for (int i = 0; i < count; i++)
        sum[i] = x[i] + y[i];
}

static attention_shape shape_of(const network *n)
{
    const model_sizes *s = &n->model->sizes;
    return (attention_shape){n->rows, s->heads, s->kv_heads, head_size(s)};
}

static void attention_block(network *n, int l)
{
    const model_sizes *s = &n->model->sizes;
    layer_record *r = &n->layers[l];
    enter(n, l, ATTN_NORM, r->x, &r->into_qkv);
    linear(n, l, ATTN_Q, &r->into_qkv, r->q);
    linear(n, l, ATTN_K, &r->into_qkv, r->k);
    linear(n, l, ATTN_V, &r->into_qkv, r->v);
    rotate(&n->rotation, n->rows, s->heads, r->q, false);
    rotate(&n->rotation, n->rows, s->kv_heads, r->k, false);
    attention(shape_of(n), r->q, r->k, r->v, r->weights, r->attended, n->scratch);
    enter(n, l, ATTN_SUB_NORM, r->attended, &r->into_output);
    linear(n, l, ATTN_OUTPUT, &r->into_output, n->normed);
    add(n->rows * s->dim, r->x, n->normed, r->middle);
}

static void feed_forward_block(network *n, int l, float *out)
{
    const model_sizes *s = &n->model->sizes;
    layer_record *r = &n->layers[l];
    enter(n, l, FFN_NORM, r->middle, &r->into_ffn);
    linear(n, l, FFN_GATE, &r->into_ffn, r->gate);
    linear(n, l, FFN_UP, &r->into_ffn, r->up);
    gated(n->rows * s->ffn, r->gate, r->up, r->product);
    enter(n, l, FFN_SUB_NORM, r->product, &r->into_down);
    linear(n, l, FFN_DOWN, &r->into_down, n->normed);
    add(n->rows * s->dim, r->middle, n->normed, out);
}

static void embed(network *n, const uint32_t *tokens, float *x)
{
    int dim = n->model->sizes.dim;
    const float *embedding = values(n, 0, EMBEDDING);
    for (int i = 0; i < n->rows; i++)
        memcpy(x + (long)i * dim, embedding + (long)tokens[i] * dim, (size_t)dim * sizeof *x);
}

float *network_forward(network *n, const uint32_t *tokens, int count)
{
    const model_sizes *s = &n->model->sizes;
    n->rows = count;
    embed(n, tokens, n->layers[0].x);
    for (int l = 0; l < s->layers; l++) {
        attention_block(n, l);
        feed_forward_block(n, l, l + 1 < s->layers ? n->layers[l + 1].x : n->last);
    }
    rms_norm(count, s->dim, NORM_EPSILON, n->last, values(n, 0, OUTPUT_NORM), n->out,
             n->last_inverse);
    matmul(count, s->vocabulary, s->dim, matrix_rows(n->out, s->dim),
           matrix_transposed(values(n, 0, EMBEDDING), s->dim), n->logits, s->vocabulary, false,
           n->scratch);
    return n->logits;
}

double network_loss(network *n, const uint32_t *tokens, int count)
{
    network_forward(n, tokens, count - 1);
    return cross_entropy(count - 1, n->model->sizes.vocabulary, n->logits, tokens + 1, false, 0);
}

// --------------------------------------------------------------------------- backward

// dnormed, the gradient of what entered, through the norm into add_dx.
static void enter_backward(network *n, int layer, tensor_role norm, const input_record *r,
                           float *add_dx)
{
    const tensor *t = model_tensor(n->model, layer, norm);
    rms_norm_backward(n->rows, t->columns, r->x, model_values(n->model, t), r->inverse, n->dnormed,
                      add_dx, gradient(n, layer, norm));
}

// The gradient of a matrix's result becomes that of the matrix and, written or added, dnormed:
// dW = dy^T (scale q), dx = dy (scale W), as if nothing had been rounded.
static void linear_backward(network *n, int layer, tensor_role role, const input_record *r,
                            const float *dy, bool also)
{
    const tensor *t = model_tensor(n->model, layer, role);
    int rows = t->rows, columns = t->columns;
    size_t size = (size_t)(n->rows * rows) * sizeof *dy;
    memcpy(n->scaled, dy, size);
    scale_rows(n->rows, rows, n->scaled, r->scale, 1);
    matmul(rows, columns, n->rows, matrix_transposed(n->scaled, rows), matrix_rows(r->q, columns),
           gradient(n, layer, role), columns, true, n->scratch);
    memcpy(n->scaled, dy, size);
    scale_rows(n->rows, rows, n->scaled, n->ones, t->scale);
    matmul(n->rows, columns, rows, matrix_rows(n->scaled, rows),
           matrix_rows(model_values(n->model, t), columns), n->dnormed, columns, also, n->scratch);
}

static void clear(float *x, int count)
{
    memset(x, 0, (size_t)count * sizeof *x);
}

// dx: the gradient behind the block becomes that in front of it.
static void feed_forward_backward(network *n, int l)
{
    const model_sizes *s = &n->model->sizes;
    layer_record *r = &n->layers[l];
    int count = n->rows * s->ffn;
    linear_backward(n, l, FFN_DOWN, &r->into_down, n->dx, false);
    clear(n->dproduct, count);
    enter_backward(n, l, FFN_SUB_NORM, &r->into_down, n->dproduct);
    gated_backward(count, r->gate, r->up, n->dproduct, n->dgate, n->dup);
    linear_backward(n, l, FFN_GATE, &r->into_ffn, n->dgate, false);
    linear_backward(n, l, FFN_UP, &r->into_ffn, n->dup, true);
    enter_backward(n, l, FFN_NORM, &r->into_ffn, n->dx);
}

static void attention_block_backward(network *n, int l)
{
    const model_sizes *s = &n->model->sizes;
    layer_record *r = &n->layers[l];
    linear_backward(n, l, ATTN_OUTPUT, &r->into_output, n->dx, false);
    clear(n->dattended, n->rows * s->dim);
    enter_backward(n, l, ATTN_SUB_NORM, &r->into_output, n->dattended);
    attention_backward(shape_of(n), r->q, r->k, r->v, r->weights, n->dattended, n->dq, n->dk, n->dv,
                       n->scratch);
    rotate(&n->rotation, n->rows, s->heads, n->dq, true);
    rotate(&n->rotation, n->rows, s->kv_heads, n->dk, true);
    linear_backward(n, l, ATTN_Q, &r->into_qkv, n->dq, false);
    linear_backward(n, l, ATTN_K, &r->into_qkv, n->dk, true);
    linear_backward(n, l, ATTN_V, &r->into_qkv, n->dv, true);
    enter_backward(n, l, ATTN_NORM, &r->into_qkv, n->dx);
}

// The gradient of the logits into the embedding, as it gives the output, and dx.
static void output_backward(network *n)
{
    const model_sizes *s = &n->model->sizes;
    matmul(s->vocabulary, s->dim, n->rows, matrix_transposed(n->logits, s->vocabulary),
           matrix_rows(n->out, s->dim), gradient(n, 0, EMBEDDING), s->dim, true, n->scratch);
    matmul(n->rows, s->dim, s->vocabulary, matrix_rows(n->logits, s->vocabulary),
           matrix_rows(values(n, 0, EMBEDDING), s->dim), n->dnormed, s->dim, false, n->scratch);
    clear(n->dx, n->rows * s->dim);
    rms_norm_backward(n->rows, s->dim, n->last, values(n, 0, OUTPUT_NORM), n->last_inverse,
                      n->dnormed, n->dx, gradient(n, 0, OUTPUT_NORM));
}

static void embed_backward(network *n, const uint32_t *tokens)
{
    int dim = n->model->sizes.dim;
    float *to = gradient(n, 0, EMBEDDING);
    for (int i = 0; i < n->rows; i++)
        add(dim, to + (long)tokens[i] * dim, n->dx + (long)i * dim, to + (long)tokens[i] * dim);
}

double network_learn(network *n, const uint32_t *tokens, int count, float weight, float *gradient_)
{
    n->gradient = gradient_;
    network_forward(n, tokens, count - 1);
    double loss =
        cross_entropy(count - 1, n->model->sizes.vocabulary, n->logits, tokens + 1, true, weight);
    output_backward(n);
    for (int l = n->model->sizes.layers; l-- > 0;) {
        feed_forward_backward(n, l);
        attention_block_backward(n, l);
    }
    embed_backward(n, tokens);
    return loss;
}
