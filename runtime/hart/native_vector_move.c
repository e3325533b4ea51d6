// Native code for vector configuration, memory and moves.

#ifdef __x86_64__

#include "runtime/hart/native_vector.h"

// --------------------------------------------------------------- configuration

// The shape that a vsetvli or vsetivli leaves; 1: none that is known.
static uint32_t shape_behind(const isa_instruction *in)
{
    return in->opcode == ISA_VSETVL ? 1 : vector_shape_of((uint64_t)in->imm).shape;
}

bool hart_native_configures(unsigned opcode)
{
    return opcode == ISA_VSETVLI || opcode == ISA_VSETIVLI || opcode == ISA_VSETVL;
}

uint32_t hart_native_expected_shape(const translation *t, const hart_op *op)
{
    const hart_block *b = hart_op_block(op);
    for (unsigned i = op->index; i-- > 0;)
        if (hart_native_configures(b->details[i].in.opcode))
            return shape_behind(&b->details[i].in);
    return t->n->hart->shape;
}

static void constant_to(translation *t, unsigned reg, uint32_t value)
{
    prefixed(t, reg >> 3, 0xb8 | (reg & 7));
    word(t, value);
}

static void store_constant(translation *t, bool wide, size_t member, uint32_t value)
{
    with_memory(t, wide, 0xc7, 0, RSI, (int32_t)member);
    word(t, value);
}

// Whether neither vtype, vl nor vstart changes by the instruction.
static bool keeps_configuration(unsigned opcode)
{
    const char *extension = isa_rows[opcode].extension;
    return hart_native_is_integer(opcode) || hart_op_is_direct(opcode) ||
           (hart_native_is_vector(opcode) && !hart_native_configures(opcode)) ||
           strcmp(extension, "Xlut") == 0 || strcmp(extension, "F") == 0;
}

// What is as this vsetvli leaves it, since another one of the stretch.
typedef enum configured { NOTHING, TYPE, TYPE_AND_LENGTH } configured;

static configured find_configured(const translation *t, const hart_op *op)
{
    const isa_instruction *in = &hart_op_details(op)->in;
    bool same = in->opcode == ISA_VSETVLI && in->rs1 != 0 && in->rd == 0;
    for (const hart_op *o = op; o-- > t->start; same &= o->rd != in->rs1) {
        const isa_instruction *before = &hart_op_details(o)->in;
        if (hart_native_configures(before->opcode)) {
            if (before->opcode == ISA_VSETVL || before->imm != in->imm)
                return NOTHING;
            same &= before->opcode == in->opcode && before->rs1 == in->rs1 && o->rd != in->rs1;
            return same ? TYPE_AND_LENGTH : TYPE;
        }
        if (!keeps_configuration(before->opcode))
            return NOTHING;
    }
    return NOTHING;
}

bool hart_native_is_configured(const translation *t, const hart_op *op)
{
    return hart_native_configures(op->in->opcode) && find_configured(t, op) == TYPE_AND_LENGTH;
}

// rax = vl, at most `longest`; hart.full follows from what was asked for.
static void limit_length(translation *t, uint32_t shape, uint32_t longest)
{
    constant_to(t, RCX, longest);
    constant_to(t, R10, shape);
    with_register(t, WIDE, 0x3b, RAX, RCX); // compare
    with_register(t, WIDE, TWO_BYTES | 0x40 | ABOVE, RAX, RCX);
    constant_to(t, RCX, shape | HART_SHORT);
    with_register(t, NARROW, TWO_BYTES | 0x40 | ABOVE_EQUAL, RCX, R10);
    with_memory(t, NARROW, 0x89, RCX, RSI, offsetof(hart, full));
}

static void write_length(translation *t, const isa_instruction *in, vector_shape s)
{
    const uint32_t longest = t->n->hart->vlenb << 3 >> s.shift;
    const bool is_constant = in->opcode == ISA_VSETIVLI || (in->rs1 == 0 && in->rd != 0);
    if (!is_constant) {
        with_memory(t, WIDE, 0x8b, RAX, RSI,
                    in->rs1 == 0 ? (int32_t)offsetof(hart, vl) : at_x(in->rs1));
        limit_length(t, s.shape, longest);
        return;
    }
    const uint32_t asked = in->opcode == ISA_VSETIVLI ? in->rs1 : longest;
    const bool is_full = asked >= longest;
    constant_to_rax(t, is_full ? longest : asked);
    store_constant(t, NARROW, offsetof(hart, full), is_full ? s.shape : s.shape | HART_SHORT);
}

static void write_type(translation *t, const isa_instruction *in, uint32_t shape)
{
    store_constant(t, WIDE, offsetof(hart, vstart), 0);
    store_constant(t, NARROW, offsetof(hart, shape), shape);
    byte(t, 0x66); // 16 bits
    with_memory(t, NARROW, 0xc7, 0, RSI, offsetof(hart, vma));
    byte(t, (uint8_t)in->imm >> 7 & 1);
    byte(t, (uint8_t)in->imm >> 6 & 1);
}

bool hart_native_vector_configuration(translation *t, hart_op *op, const vector_row *row)
{
    (void)row;
    _Static_assert(offsetof(hart, vta) == offsetof(hart, vma) + 1, "stored together");
    const isa_instruction *in = op->in;
    const vector_shape s = vector_shape_of((uint64_t)in->imm);
    t->shape = s.shape;
    if (s.shape == 1)
        return false;
    write_length(t, in, s);
    with_memory(t, WIDE, 0x89, RAX, RSI, offsetof(hart, vl));
    if (find_configured(t, op) == NOTHING)
        write_type(t, in, s.shape);
    t->held = NO_REGISTER;
    if (in->rd) {
        with_memory(t, WIDE, 0x89, RAX, RSI, at_x(in->rd));
        t->held = in->rd;
    }
    return true;
}

// ---------------------------------------------------------------------- memory

enum { STORED = 8 }; // host register of what is not held

static void load_from_guest(translation *t, const hart_op *op, unsigned r, unsigned chunk)
{
    const unsigned reg = hart_native_take_registers(t, 1);
    hart_native_site(t, op);
    on_guest(t, LOAD, reg, host_bytes(t) * chunk);
    store_held(t, reg, r, chunk);
}

static void store_to_guest(translation *t, const hart_op *op, unsigned r, unsigned chunk)
{
    const unsigned reg = in_register(t, STORED, r, chunk);
    if (t->partial) {
        hart_native_store_active(t, op, reg, chunk);
        return;
    }
    hart_native_site(t, op);
    on_guest(t, STORE, reg, host_bytes(t) * chunk);
}

static void count_bytes(translation *t, bool stores, unsigned bytes)
{
    const int32_t counter = (int32_t)(offsetof(hart, vector_bytes) + 8 * stores);
    if (!t->partial) {
        with_memory(t, WIDE, 0x81, 0, RSI, counter); // add
        word(t, bytes);
        return;
    }
    with_memory(t, WIDE, 0x8b, RCX, RSI, offsetof(hart, vl));
    with_register(t, WIDE, 0xc1, 4, RCX); // shift
    byte(t, vector_sew(t));
    with_memory(t, WIDE, 0x01, RCX, RSI, counter);
}

// Where vl may be 0, no address matters then.
static void exit_idle(translation *t, hart_op *op)
{
    if (!t->partial)
        return;
    with_memory(t, WIDE, 0x83, 7, RSI, offsetof(hart, vl)); // compare
    byte(t, 0);
    hart_native_exit_if(t, EQUAL, op, EXIT_IDLE);
}

// Within a page, so that a fault is that of the first element. `bytes` are whole chunks.
static void write_transfer(translation *t, hart_op *op, bool stores, unsigned bytes)
{
    enum { PAGE = 4096 };
    exit_idle(t, op);
    hart_native_address(t, op, 0);
    with_register(t, NARROW, 0x8b, RAX, R10);
    with_immediate(t, NARROW, 4, RAX, PAGE - 1);
    with_immediate(t, NARROW, 7, RAX, (int32_t)(PAGE - bytes));
    hart_native_exit_if(t, ABOVE, op, EXIT_HANDLER);
    const unsigned r = stores ? op->rs3 : op->rd;
    t->width = width_of(t, bytes / VECTOR_CHUNK);
    for (unsigned c = 0; c < bytes / host_bytes(t); c++)
        (stores ? store_to_guest : load_from_guest)(t, op, r, c);
    hart_native_end_wide(t);
    count_bytes(t, stores, bytes);
    t->held = NO_REGISTER;
}

// Elements as wide as SEW, or of another width where vl is the longest.
bool hart_native_vector_unit_stride(translation *t, hart_op *op, const vector_row *row)
{
    const bool stores = row->option & STORES;
    const unsigned sew = vector_sew(t), width = row->option & 3u;
    const int emul = vector_lmul(t) + (int)width - (int)sew;
    const unsigned chunks = hart_native_chunks(t, emul);
    if (!chunks || !op->in->vm || op->in->nf || !is_group(stores ? op->rs3 : op->rd, emul))
        return false;
    (width == sew ? hart_native_require_elements : hart_native_require_shape)(t, op);
    write_transfer(t, op, stores, VECTOR_CHUNK * chunks);
    return true;
}

// code reg, first, [rax], [rax + rcx], [r10] or [r10 + rcx]
static void on_element(translation *t, unsigned code, unsigned reg, unsigned first, unsigned k)
{
    const unsigned base = k < 2 ? RAX : R10;
    begin_vector(t, code, reg, first, false, base);
    if (k % 2 == 0) {
        byte(t, (reg & 7) << 3 | (base & 7));
    } else {
        byte(t, (reg & 7) << 3 | 4);
        byte(t, RCX << 3 | (base & 7));
    }
}

// Four words from rax on, rcx apart; r10 is behind two of them, and both move on.
static void collect(translation *t, unsigned reg)
{
    enum { INSERT = P66 | M0F3A | 0x22 };
    static const uint8_t move_on[] = {0x48, 0x8d, 0x04, 0x88,  // lea rax, [rax + 4 rcx]
                                      0x4d, 0x8d, 0x14, 0x8a}; // lea r10, [r10 + 4 rcx]
    on_element(t, MOVE_FROM_RAX, reg, 0, 0);
    for (unsigned k = 1; k < 4; k++) {
        on_element(t, INSERT, reg, reg, k);
        byte(t, k);
    }
    for (size_t i = 0; i < sizeof move_on; i++)
        byte(t, move_on[i]);
}

// Words a short way apart, of which no more than the first can fault: rax and r10 as `collect`
// needs them, rcx the stride. They span two pages at most, and the last one is there.
static void find_words(translation *t, hart_op *op, unsigned count)
{
    enum { PAGE = 4096 };
    static const uint8_t try_last[] = {0x8b, 0x04, 0x02};   // mov eax, [rdx + rax]
    static const uint8_t find[] = {0x4a, 0x8d, 0x04, 0x12,  // lea rax, [rdx + r10]
                                   0x4c, 0x8d, 0x14, 0x48}; // lea r10, [rax + 2 rcx]
    _Static_assert(HART_MEMORY_GUARD >= 2 * PAGE, "words behind the limit fault");
    hart_native_address(t, op, 0);
    load_x(t, RCX, op->rs2);
    with_immediate(t, WIDE, 7, RCX, PAGE);
    hart_native_exit_if(t, ABOVE, op, EXIT_HANDLER);
    with_register(t, WIDE, 0x69, RAX, RCX); // product
    word(t, count - 1);
    with_immediate(t, WIDE, 7, RAX, PAGE - 4);
    hart_native_exit_if(t, ABOVE, op, EXIT_HANDLER);
    with_register(t, WIDE, 0x03, RAX, R10);
    hart_native_trying_site(t, op);
    for (size_t i = 0; i < sizeof try_last; i++)
        byte(t, try_last[i]);
    for (size_t i = 0; i < sizeof find; i++)
        byte(t, find[i]);
}

// Elements behind vl are read as well.
bool hart_native_vector_strided(translation *t, hart_op *op, const vector_row *row)
{
    enum { PART = 9, INSERT_CHUNK = P66 | M0F3A | 0x38 };
    (void)row;
    const int lmul = vector_lmul(t);
    const unsigned chunks = vector_sew(t) == 2 ? hart_native_chunks(t, lmul) : 0;
    const uint8_t width = width_of(t, chunks);
    if (!width || !op->in->vm || op->in->nf || !is_group(op->rd, lmul))
        return false;
    hart_native_require_elements(t, op);
    exit_idle(t, op);
    find_words(t, op, chunks * VECTOR_CHUNK / 4);
    hart_native_site(t, op);
    for (unsigned c = 0; c < chunks >> width; c++) {
        t->width = width;
        const unsigned reg = hart_native_take_registers(t, 1);
        for (unsigned part = 0; part < 1u << width; part++) {
            t->width = 0;
            collect(t, part == 0 ? reg : PART);
            t->width = width;
            if (part == 0)
                continue;
            on_registers(t, INSERT_CHUNK, reg, reg, PART);
            byte(t, part);
        }
        store_held(t, reg, op->rd, c);
    }
    hart_native_end_wide(t);
    count_bytes(t, false, chunks * VECTOR_CHUNK);
    t->held = NO_REGISTER;
    return true;
}

bool hart_native_vector_whole_transfer(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned bytes = (row->option & 7u) * t->n->hart->vlenb;
    if (bytes > MOST_CHUNKS * VECTOR_CHUNK)
        return false;
    if (!(t->known & KNOWN_ELEMENTS)) {
        with_memory(t, NARROW, 0x83, 7, RSI, offsetof(hart, vstart)); // compare
        byte(t, 0);
        hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
    }
    t->partial = false; // whatever vl is
    write_transfer(t, op, row->option & STORES, bytes);
    t->partial = t->masked;
    return true;
}

// ----------------------------------------------------------------------- moves

bool hart_native_vector_whole_move(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned chunks = row->option * t->n->hart->vlenb / VECTOR_CHUNK;
    if (chunks > MOST_CHUNKS || t->shape == 1)
        return false;
    hart_native_require_shape(t, op);
    t->width = width_of(t, chunks);
    for (unsigned c = 0; c < chunks >> t->width; c++) {
        const unsigned reg = hart_native_take_registers(t, 1);
        load(t, reg, op->rs2, c);
        store_held(t, reg, op->rd, c);
    }
    hart_native_end_wide(t);
    return true;
}

bool hart_native_vector_copies(translation *t, hart_op *op, const vector_row *row)
{
    const unsigned chunks = hart_native_chunks_of(t, op, row), sew = vector_sew(t);
    if (!chunks || (row->source == SOURCE_F && sew != 2))
        return false;
    hart_native_require_elements(t, op);
    if (row->source == SOURCE_F)
        hart_native_find_nearest_even(t, op);
    t->width = width_of(t, chunks);
    hart_native_broadcast(t, op, row);
    for (unsigned c = 0; c < chunks >> t->width; c++) {
        const unsigned reg = hart_native_take_registers(t, 1);
        hart_native_with_second(t, op, row, LOAD, reg, 0, c);
        store_held(t, reg, op->rd, c);
    }
    hart_native_end_wide(t);
    return true;
}

// Whatever vl is.
static void require_type(translation *t, hart_op *op)
{
    if (t->known & KNOWN_ELEMENTS)
        return;
    with_memory(t, NARROW, 0x81, 7, RSI, offsetof(hart, shape)); // compare
    word(t, t->shape);
    hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
    with_memory(t, NARROW, 0x83, 7, RSI, offsetof(hart, vstart)); // compare
    byte(t, 0);
    hart_native_exit_if(t, NOT_EQUAL, op, EXIT_HANDLER);
}

// x[rd] = element 0
bool hart_native_vector_first_to_integer(translation *t, hart_op *op, const vector_row *row)
{
    (void)row;
    static const uint16_t codes[] = {TWO_BYTES | 0xbe, TWO_BYTES | 0xbf, 0x63, 0x8b};
    if (t->shape == 1 || op->rd == 0)
        return false;
    require_type(t, op);
    with_memory(t, WIDE, codes[vector_sew(t)], RAX, RSI, at_v(t, op->rs2, 0));
    store_rd(t, op);
    return true;
}

bool hart_native_vector_first_to_float(translation *t, hart_op *op, const vector_row *row)
{
    (void)row;
    if (vector_sew(t) != 2 || t->shape == 1)
        return false;
    hart_native_find_nearest_even(t, op);
    require_type(t, op);
    with_memory(t, NARROW, 0x8b, RAX, RSI, at_v(t, op->rs2, 0));
    store_float(t, NARROW, op->rd);
    return true;
}

#endif
