#include "compiler/ir/module.h"

#include <stddef.h>

const ir_module_setting ir_module_settings[IR_MODULE_SETTINGS] = {
    {"machine", offsetof(ir_module, machine)},
    {"architecture", offsetof(ir_module, architecture)},
    {"target", offsetof(ir_module, target)},
    {"after", offsetof(ir_module, after)},
};

ir_module *ir_module_create(arena *a, const char *name)
{
    ir_module *m = ARENA_NEW(a, ir_module);
    ir_intern_tables *tables = ARENA_NEW(a, ir_intern_tables);
    tables->symbols = ir_mapping_create(a);
    tables->globals = ir_mapping_create(a);
    tables->functions = ir_mapping_create(a);
    m->arena = a;
    m->intern = tables;
    m->name = ir_intern(m, name);
    return m;
}

const char *ir_intern(ir_module *m, const char *s)
{
    return s ? arena_intern(m->arena, s) : NULL;
}

static void *find_by_name(const ir_module *m, const ir_mapping *map, const char *name)
{
    return ir_mapping_find(map, arena_intern(m->arena, name));
}

ir_symbol *ir_symbol_create(ir_module *m, const char *name, int64_t minimum, int64_t maximum,
                            location where)
{
    ir_symbol *s = ARENA_NEW(m->arena, ir_symbol);
    *s = (ir_symbol){ir_intern(m, name), minimum, maximum, where};
    ARRAY_PUSH(m->arena, &m->symbols, s);
    ir_mapping_put(((ir_intern_tables *)m->intern)->symbols, s->name, s);
    return s;
}

ir_symbol *ir_symbol_find(const ir_module *m, const char *name)
{
    return find_by_name(m, ((const ir_intern_tables *)m->intern)->symbols, name);
}

const char *const ir_global_kind_words[] = {"weight", "state", "constant"};

ir_global *ir_global_create(ir_module *m, ir_global_kind kind, const char *name,
                            const ir_type *type, const char *origin, location where)
{
    ir_global *g = ARENA_NEW(m->arena, ir_global);
    g->kind = kind;
    g->name = ir_intern(m, name);
    g->source = ir_intern(m, origin);
    g->where = where;
    g->value = (ir_value){.kind = IR_VALUE_GLOBAL, .type = type, .name = g->name, .global = g};
    if (m->last_global)
        m->last_global->next = g;
    else
        m->globals = g;
    m->last_global = g;
    ir_mapping_put(((ir_intern_tables *)m->intern)->globals, g->name, g);
    return g;
}

int64_t ir_constant_count(const ir_global *g)
{
    int64_t count = 1;
    for (unsigned i = 0; i < g->value.type->rank; i++)
        count *= g->value.type->dims[i].value;
    return count;
}

ir_global *ir_constant_create(ir_module *m, const char *name, const ir_type *type,
                              const double *values, location where)
{
    ir_global *g = ir_global_create(m, IR_GLOBAL_CONSTANT, name, type, NULL, where);
    int64_t count = ir_constant_count(g);
    double *kept = arena_alloc_array(m->arena, (size_t)count, sizeof *kept);
    for (int64_t i = 0; i < count; i++)
        kept[i] = scalar_round(type->scalar, values[i]);
    g->values = kept;
    return g;
}

ir_global *ir_global_find(const ir_module *m, const char *name)
{
    return find_by_name(m, ((const ir_intern_tables *)m->intern)->globals, name);
}

ir_function *ir_function_create(ir_module *m, const char *name, bool entry, location where)
{
    ir_function *f = ARENA_NEW(m->arena, ir_function);
    f->name = ir_intern(m, name);
    f->where = where;
    f->module = m;
    f->entry = entry;
    f->body = ir_block_create(NULL, f);
    if (m->last_function)
        m->last_function->next = f;
    else
        m->functions = f;
    m->last_function = f;
    ir_mapping_put(((ir_intern_tables *)m->intern)->functions, f->name, f);
    return f;
}

ir_function *ir_function_find(const ir_module *m, const char *name)
{
    return find_by_name(m, ((const ir_intern_tables *)m->intern)->functions, name);
}

// The uses that a removed function makes of globals must not stay behind.
static void drop_operands(ir_op *op, void *context)
{
    (void)context;
    for (unsigned i = 0; i < op->n_operands; i++)
        ir_set_operand(op, i, NULL);
}

void ir_function_remove(ir_function *f)
{
    ir_module *m = f->module;
    ir_function *previous = NULL;
    for (ir_function *at = m->functions; at != f; at = at->next)
        previous = at;
    *(previous ? &previous->next : &m->functions) = f->next;
    if (m->last_function == f)
        m->last_function = previous;
    ir_mapping_put(((ir_intern_tables *)m->intern)->functions, f->name, NULL);
    ir_walk(f->body, drop_operands, NULL);
}
