// --stats: what the program consists of.
#include "compiler/driver/driver.h"

#include <elf.h>
#include <jansson.h>
#include <string.h>

// Rows of activations that a product has for every 1 of each symbolic dimension.
static double rows_of(const ir_type *x)
{
    double rows = 1;
    for (unsigned i = 0; i + 1 < x->rank; i++)
        rows *= (double)x->dims[i].value;
    return rows;
}

static void count_op(ir_op *op, void *context)
{
    module_counts *c = context;
    if (op->code != IR_LINEAR && op->code != IR_LUT_MPGEMM)
        return;
    const ir_type *w = ir_operand(op, 1)->type;
    double macs =
        rows_of(op->results[0].type) * (double)w->dims[0].value * (double)w->dims[1].value;
    if (op->code == IR_LUT_MPGEMM) {
        c->lut_linears++;
        c->lut_macs += macs;
    } else {
        c->other_linears++;
        c->other_macs += macs;
    }
}

// While the module is at graph level.
void count_products(const ir_module *m, module_counts *out)
{
    for (const ir_function *f = m->functions; f; f = f->next)
        ir_walk(f->body, count_op, out);
}

typedef struct dense_count {
    const driver *driver;
    unsigned chosen;
} dense_count;

static void count_dense(ir_op *op, void *context)
{
    dense_count *c = context;
    quant_format format;
    if (op->code != IR_LINEAR || !quant_format_parse(ir_operand(op, 1)->type->format, &format) ||
        quant_looks_up(&format))
        return;
    for (size_t i = 0; i < c->driver->unplaned.count; i++)
        if (&c->driver->unplaned.items[i]->value == ir_operand(op, 1))
            return;
    c->chosen++;
}

unsigned count_chosen_dense(const driver *d, const ir_module *m)
{
    dense_count c = {.driver = d};
    for (const ir_function *f = m->functions; f; f = f->next)
        ir_walk(f->body, count_dense, &c);
    return c.chosen;
}

// When it is at tile level and packed.
void count_module(const ir_module *m, module_counts *out)
{
    for (const ir_function *f = m->functions; f; f = f->next)
        out->kernels += !f->entry;
    for (const ir_global *g = m->globals; g; g = g->next) {
        if (g->kind != IR_GLOBAL_WEIGHT)
            continue;
        out->weights++;
        out->weight_bytes += g->packed ? g->size : 0;
    }
}

uint64_t code_size(const text *object)
{
    Elf64_Ehdr header;
    uint64_t size = 0;
    if (object->length < sizeof header)
        return 0;
    memcpy(&header, object->data, sizeof header);
    for (unsigned i = 0; i < header.e_shnum; i++) {
        Elf64_Shdr section;
        uint64_t at = header.e_shoff + i * sizeof section;
        if (at > object->length || object->length - at < sizeof section)
            return 0;
        memcpy(&section, object->data + at, sizeof section);
        size += section.sh_flags & SHF_EXECINSTR ? section.sh_size : 0;
    }
    return size;
}

static void print_text(FILE *to, const driver *d, const module_counts *c, uint64_t code_bytes,
                       uint64_t program_bytes)
{
    double all = c->lut_macs + c->other_macs;
    fprintf(to, "machine                    %s\n", d->machine.name);
    fprintf(to, "matrix products            %u through tables, %u otherwise\n", c->lut_linears,
            c->other_linears);
    fprintf(to, "multiply-accumulates/row   %.0f through tables, %.0f otherwise (%.1f %% LUT)\n",
            c->lut_macs, c->other_macs, all > 0 ? 100 * c->lut_macs / all : 0);
    fprintf(to, "weights                    %u, %llu bytes packed\n", c->weights,
            (unsigned long long)c->weight_bytes);
    fprintf(to, "kernels                    %u\n", c->kernels);
    fprintf(to, "code                       %llu bytes\n", (unsigned long long)code_bytes);
    fprintf(to, "program                    %llu bytes\n", (unsigned long long)program_bytes);
}

void show_stats(driver *d, uint64_t code_bytes, uint64_t program_bytes)
{
    const module_counts *c = &d->counts;
    FILE *to = d->output && !strcmp(d->output, "-") ? stderr : stdout;
    if (!d->stats)
        return;
    if (strcmp(d->stats, "json") != 0) {
        print_text(to, d, c, code_bytes, program_bytes);
        return;
    }
    json_t *o =
        json_pack("{s:i, s:s, s:i, s:i, s:f, s:f, s:i, s:I, s:i, s:I, s:I}", "version", 1,
                  "machine", d->machine.name, "lut_products", (int)c->lut_linears, "other_products",
                  (int)c->other_linears, "lut_macs_per_row", c->lut_macs, "other_macs_per_row",
                  c->other_macs, "weights", (int)c->weights, "weight_bytes",
                  (json_int_t)c->weight_bytes, "kernels", (int)c->kernels, "code_bytes",
                  (json_int_t)code_bytes, "program_bytes", (json_int_t)program_bytes);
    json_dumpf(o, to, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
    fputc('\n', to);
    json_decref(o);
}
