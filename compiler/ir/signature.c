#include "compiler/ir/signature.h"

#include <stdlib.h>
#include <string.h>
#include <threads.h>

const ir_op_row ir_op_rows[IR_OPCODE_COUNT] = {
#define OP(E, ...) {__VA_ARGS__},
#include "compiler/ir/ops.def"
};

// "tensor", "weight", ...: the words of the signature grammar, by ir_type_kind.
static const char *const ir_type_kind_words[IR_TILE + 1] = {"index", "scalar", "tensor", "weight",
                                                            "table", "buffer", "vector", "tile"};
enum { ALL_KINDS = (1 << (IR_TILE + 1)) - 1 };

static ir_signature signatures[IR_OPCODE_COUNT];
static once_flag signatures_once = ONCE_FLAG_INIT;

static const char *skip_separators(const char *at)
{
    return at + strspn(at, ", ");
}

// Copies the run of `at` up to one of `stops` into a name and returns what follows it.
static const char *take_word(const char *at, const char *stops, char *out, size_t size)
{
    size_t length = strcspn(at, stops);
    if (!length || length >= size)
        INTERNAL_ERROR("ops.def: bad name at '%s'", at);
    memcpy(out, at, length);
    out[length] = 0;
    return at + length;
}

static unsigned kind_bits(const char *word)
{
    if (!strcmp(word, "any"))
        return ALL_KINDS;
    for (unsigned i = 0; i <= IR_TILE; i++)
        if (!strcmp(word, ir_type_kind_words[i]))
            return 1u << i;
    INTERNAL_ERROR("ops.def: unknown kind '%s'", word);
}

static const char *parse_slot(const char *at, ir_slot *slot)
{
    at = take_word(at, ":", slot->name, sizeof slot->name);
    do {
        char word[16];
        at = take_word(at + 1, "|,?*", word, sizeof word);
        slot->kinds |= kind_bits(word);
    } while (*at == '|');
    slot->optional = *at == '?';
    slot->variadic = *at == '*';
    return skip_separators(at + (slot->optional || slot->variadic));
}

static unsigned parse_slots(const char *at, ir_slot *slots)
{
    unsigned count = 0;
    while (*at) {
        if (count == IR_MAX_SLOTS || (count && slots[count - 1].variadic))
            INTERNAL_ERROR("ops.def: too many slots at '%s'", at);
        at = parse_slot(at, &slots[count++]);
    }
    return count;
}

static const char *parse_attribute_kind(const char *at, ir_attribute_row *row)
{
    static const char *const words[] = {"integer", "number", "boolean", "{", "text", "list"};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        if (!text_starts_with(at, words[i]))
            continue;
        row->kind = (ir_attribute_kind)i;
        if (row->kind != IR_ATTR_NAME)
            return at + strlen(words[i]);
        row->words = at + 1;
        return strchr(at, '}') + 1;
    }
    INTERNAL_ERROR("ops.def: unknown attribute kind at '%s'", at);
}

static void set_default(ir_attribute_row *row)
{
    ir_attribute *v = &row->value;
    row->has_default = true;
    v->name = row->name;
    v->kind = row->kind;
    v->text = row->word;
    v->integer =
        row->kind == IR_ATTR_BOOLEAN ? !strcmp(row->word, "true") : strtoll(row->word, NULL, 10);
    v->number = strtod(row->word, NULL);
}

static const char *parse_attribute(const char *at, ir_attribute_row *row)
{
    at = take_word(at, ":", row->name, sizeof row->name);
    at = parse_attribute_kind(at + 1, row);
    if (text_starts_with(at, " = ")) {
        at = take_word(at + 3, ",", row->word, sizeof row->word);
        set_default(row);
    }
    return skip_separators(at);
}

static void parse_signatures(void)
{
    for (unsigned i = 0; i < IR_OPCODE_COUNT; i++) {
        const ir_op_row *row = &ir_op_rows[i];
        ir_signature *s = &signatures[i];
        s->n_operands = parse_slots(row->operands, s->operands);
        s->n_results = parse_slots(row->results, s->results);
        s->variadic = s->n_operands && s->operands[s->n_operands - 1].variadic;
        s->variadic_results = s->n_results && s->results[s->n_results - 1].variadic;
        for (const char *at = row->attributes; *at;) {
            if (s->n_attributes == IR_MAX_ATTRIBUTES)
                INTERNAL_ERROR("ops.def: '%s' has too many attributes", row->name);
            at = parse_attribute(at, &s->attributes[s->n_attributes++]);
        }
    }
}

const ir_signature *ir_signature_of(ir_opcode code)
{
    call_once(&signatures_once, parse_signatures);
    return &signatures[code];
}

const ir_attribute_row *ir_attribute_row_of(ir_opcode code, const char *name)
{
    const ir_signature *s = ir_signature_of(code);
    for (unsigned i = 0; i < s->n_attributes; i++)
        if (!strcmp(s->attributes[i].name, name))
            return &s->attributes[i];
    return NULL;
}

bool ir_attribute_word_allowed(const ir_attribute_row *row, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = row->words; length;) {
        size_t n = strcspn(at, " }");
        if (n == length && !memcmp(at, word, n))
            return true;
        if (at[n] == '}')
            break;
        at += n + 1;
    }
    return false;
}

void ir_kinds_print(text *out, unsigned kinds)
{
    if (kinds == ALL_KINDS) {
        text_append(out, "any value");
        return;
    }
    const char *separator = "";
    for (unsigned i = 0; i <= IR_TILE; i++) {
        if (!(kinds & 1u << i))
            continue;
        text_printf(out, "%s%s", separator, ir_type_kind_words[i]);
        separator =
            kinds >> (i + 1) && !((kinds >> (i + 1)) & ((kinds >> (i + 1)) - 1)) ? " or " : ", ";
    }
}

bool ir_opcode_by_name(const char *name, ir_opcode *out)
{
    for (unsigned i = 0; i < IR_OPCODE_COUNT; i++) {
        if (!strcmp(ir_op_rows[i].name, name)) {
            *out = (ir_opcode)i;
            return true;
        }
    }
    return false;
}

int ir_operand_slot(ir_opcode code, const char *name)
{
    const ir_signature *s = ir_signature_of(code);
    for (unsigned i = 0; i < s->n_operands; i++)
        if (!strcmp(s->operands[i].name, name))
            return (int)i;
    return -1;
}
