#include "compiler/ir/module.h"
#include "compiler/ir/signature.h"

#include <string.h>

// Values of the two functions correspond by position: `map` leads from a's to b's.
static bool values_equal(const ir_mapping *map, const ir_value *a, const ir_value *b)
{
    if (!a || !b || a->kind == IR_VALUE_GLOBAL)
        return a == b;
    return ir_mapping_find(map, a) == b;
}

bool ir_same_attributes(const ir_op *a, const ir_op *b)
{
    const ir_signature *s = ir_signature_of(a->code);
    for (unsigned i = 0; i < s->n_attributes; i++) {
        const ir_attribute *x = ir_attribute_effective(a, &s->attributes[i]);
        const ir_attribute *y = ir_attribute_effective(b, &s->attributes[i]);
        if (!x != !y || (x && !ir_attribute_equal(x, y)))
            return false;
    }
    return true;
}

static bool blocks_equal(ir_mapping *map, const ir_block *a, const ir_block *b);

static bool ops_equal(ir_mapping *map, const ir_op *a, const ir_op *b)
{
    if (a->code != b->code || a->n_operands != b->n_operands || a->n_results != b->n_results ||
        !ir_same_attributes(a, b))
        return false;
    for (unsigned i = 0; i < a->n_operands; i++)
        if (!values_equal(map, a->operands[i].value, b->operands[i].value))
            return false;
    for (unsigned i = 0; i < a->n_results; i++) {
        if (a->results[i].type != b->results[i].type)
            return false;
        ir_mapping_set(map, &a->results[i], &b->results[i]);
    }
    for (unsigned i = 0; i < a->n_regions; i++)
        if (!blocks_equal(map, a->regions[i], b->regions[i]))
            return false;
    return true;
}

static bool blocks_equal(ir_mapping *map, const ir_block *a, const ir_block *b)
{
    if (a->arguments.count != b->arguments.count)
        return false;
    for (size_t i = 0; i < a->arguments.count; i++) {
        if (a->arguments.items[i]->type != b->arguments.items[i]->type)
            return false;
        ir_mapping_set(map, a->arguments.items[i], b->arguments.items[i]);
    }
    const ir_op *x = a->first, *y = b->first;
    for (; x && y; x = x->next, y = y->next)
        if (!ops_equal(map, x, y))
            return false;
    return !x && !y;
}

bool ir_block_equal(const ir_block *a, const ir_block *b)
{
    arena *scratch = arena_create();
    bool equal = blocks_equal(ir_mapping_create(scratch), a, b);
    arena_destroy(scratch);
    return equal;
}

bool ir_function_equal(const ir_function *a, const ir_function *b)
{
    if (a->module != b->module || a->results.count != b->results.count)
        return false;
    for (size_t i = 0; i < a->results.count; i++)
        if (a->results.items[i] != b->results.items[i])
            return false;
    return ir_block_equal(a->body, b->body);
}

// -------------------------------------------------------------------- hashing

typedef struct hasher {
    ir_mapping *numbers; // value -> 1 + its position in the function
    uintptr_t next;
    uint64_t hash;
} hasher;

static void hash_definition(hasher *h, const ir_value *v)
{
    ir_mapping_put(h->numbers, v, (void *)++h->next);
    h->hash = ir_type_hash(h->hash, v->type);
}

static void hash_use(hasher *h, const ir_value *v)
{
    if (v && v->kind == IR_VALUE_GLOBAL)
        h->hash = ir_hash_text(h->hash, v->global->name);
    else
        h->hash = ir_hash_combine(h->hash, v ? (uintptr_t)ir_mapping_find(h->numbers, v) : 0);
}

static void hash_attribute(hasher *h, const ir_attribute *v)
{
    uint64_t bits = (uint64_t)v->integer;
    if (v->kind == IR_ATTR_NUMBER)
        memcpy(&bits, &v->number, sizeof bits);
    if (v->kind == IR_ATTR_NAME || v->kind == IR_ATTR_TEXT)
        bits = ir_hash_text(0, v->text);
    h->hash = ir_hash_combine(h->hash, bits);
    for (int64_t i = 0; v->kind == IR_ATTR_LIST && i < v->integer; i++)
        h->hash = ir_hash_combine(h->hash, (uint64_t)v->list[i]);
}

static void hash_block(hasher *h, const ir_block *b);

static void hash_op(hasher *h, const ir_op *op)
{
    const ir_signature *s = ir_signature_of(op->code);
    h->hash = ir_hash_combine(h->hash, op->code);
    for (unsigned i = 0; i < op->n_operands; i++)
        hash_use(h, op->operands[i].value);
    for (unsigned i = 0; i < op->n_results; i++)
        hash_definition(h, &op->results[i]);
    for (unsigned i = 0; i < s->n_attributes; i++) {
        const ir_attribute *v = ir_attribute_effective(op, &s->attributes[i]);
        if (v)
            hash_attribute(h, v);
    }
    for (unsigned i = 0; i < op->n_regions; i++)
        hash_block(h, op->regions[i]);
}

static void hash_block(hasher *h, const ir_block *b)
{
    for (size_t i = 0; i < b->arguments.count; i++)
        hash_definition(h, b->arguments.items[i]);
    IR_FOR_OPS(op, b)
    hash_op(h, op);
}

uint64_t ir_block_hash(const ir_block *b)
{
    arena *scratch = arena_create();
    hasher h = {.numbers = ir_mapping_create(scratch)};
    hash_block(&h, b);
    arena_destroy(scratch);
    return h.hash;
}

uint64_t ir_function_hash(const ir_function *f)
{
    uint64_t hash = ir_block_hash(f->body);
    for (size_t i = 0; i < f->results.count; i++)
        hash = ir_type_hash(hash, f->results.items[i]);
    return hash;
}
