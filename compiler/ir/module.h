// What the files of this folder share and nobody else sees.
#pragma once

#include "compiler/ir/ir.h"

// ir_module.intern: tables by interned name or by type; never iterated over, so
// that no order depends on addresses.
typedef struct ir_intern_tables {
    const ir_type **types; // open addressing, capacity a power of two
    size_t n_types, type_capacity;
    ir_mapping *symbols, *globals, *functions;
} ir_intern_tables;

// A setting of a module's head: a text of ir_module.
typedef struct ir_module_setting {
    const char *name;
    size_t offset;
} ir_module_setting;
enum { IR_MODULE_SETTINGS = 4 };
extern const ir_module_setting ir_module_settings[IR_MODULE_SETTINGS]; // as they are printed

// Pointer to pointer, in an arena. NULL when absent.
void ir_mapping_put(ir_mapping *map, const void *key, void *value);
void *ir_mapping_find(const ir_mapping *map, const void *key);

uint64_t ir_hash_combine(uint64_t hash, uint64_t value);
uint64_t ir_hash_text(uint64_t hash, const char *s);
// Structural, the same in every run.
uint64_t ir_type_hash(uint64_t hash, const ir_type *t);

// tile<plane>, ...: by tile_kind.
extern const char *const ir_global_kind_words[IR_GLOBAL_CONSTANT + 1];
extern const char *const ir_tile_kind_words[TILE_KINDS];
// Whether a weight of this format prints as "w2g64[..]", not "weight<f16>[..]".
bool ir_weight_format_is_bare(const char *format);
// Starts with a letter or '_' and goes on with those, digits and '.'.
bool ir_is_word(const char *s);
