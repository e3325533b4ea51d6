// Which activations products of a format have tables for: the one list that split-precompute,
// `lutc list formats`, docs/weights.md and the sweep over formats (tests/sweep/formats.py) share.
#include "compiler/quant/quant.h"

static bool multiplies_bytes_only(const quant_format *f)
{
    return f->kind == QUANT_UNIFORM && f->planes > 4;
}

const char *quant_obstacle(const quant_format *f, scalar_type activation)
{
    if (!quant_looks_up(f))
        return "they are no planes";
    if (activation == SCALAR_F64 ||
        (!scalar_is_float(activation) && activation != SCALAR_I8 && activation != SCALAR_I16))
        return "tables are of f32, f16, bf16, e4m3, e5m2, i8 or i16";
    if (activation == SCALAR_I16 && f->codebook)
        return "codebooks have no tables of i16";
    if (activation == SCALAR_I16 && multiplies_bytes_only(f))
        return "products of i16 with more than 4 bits are not exact in f32";
    if (activation == SCALAR_I8 && f->codebook && !f->codebook->whole)
        return "the codebook's numbers are not whole, so that products with i8 are not exact";
    return NULL;
}

const char *quant_tables(const quant_format *f, scalar_type activation)
{
    if (quant_obstacle(f, activation))
        return "-";
    return scalar_is_float(activation) ? "f16,i8" : activation == SCALAR_I16 ? "2xi16" : "i16";
}

void quant_support_list(text *out)
{
    text_printf(out, "  %-8s %-5s %-7s %-4s %s\n", "base", "bits", "floats", "i8", "i16");
    for (size_t i = 0; quant_base_name(i); i++) {
        quant_format f;
        if (!quant_format_parse(quant_base_name(i), &f) || !quant_looks_up(&f))
            continue;
        text_printf(out, "  %-8s %-5u %-7s %-4s %-6s %s\n", f.name, f.planes,
                    quant_tables(&f, SCALAR_F32), quant_tables(&f, SCALAR_I8),
                    quant_tables(&f, SCALAR_I16), quant_base_doc(i));
    }
    text_append(out,
                "floats: f32 f16 bf16 e4m3 e5m2. The columns are the entries of the tables that a "
                "product with such activations\nlooks up; integers exactly, 2xi16: a table for "
                "each byte. -: no such products\n");
}
