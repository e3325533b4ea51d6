// Uses every service, and ends the run at the function named by its arguments.
#include <lutra/observe.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const observe_services *s;
static const char *last_function;
static uint64_t instructions;

static uint64_t read(struct hart *h, observe_register kind, unsigned number)
{
    size_t size;
    uint64_t value = 0;
    const void *data = s->read_register(h, kind, number, &size);
    if (data)
        memcpy(&value, data, sizeof value);
    return value;
}

static bool gate(void *context, struct hart *h, const struct isa_instruction *in)
{
    (void)context, (void)in;
    uint64_t offset;
    const char *name = s->symbol(s, read(h, OBSERVE_PC, 0), &offset);
    return !name || offset > 0 || strcmp(name, last_function) != 0;
}

static void visit(void *context, const observe_access *a)
{
    (void)context;
    printf("%s %" PRIu64 " bytes\n", a->write ? "writes" : "reads", a->size);
}

static void instruction(void *context, struct hart *h, const struct isa_instruction *in)
{
    (void)context;
    observe_instruction d;
    char text[8], line[256];
    observe_register kind;
    unsigned number;
    uint64_t pc = read(h, OBSERVE_PC, 0);
    s->decode(in, &d);
    size_t length = s->disassemble(in, pc, text, sizeof text);
    if (instructions++ == 0) {
        bool known = s->source_line(s, pc, line, sizeof line);
        uint8_t memory[4];
        printf("%s %s %u %zu '%s' %s\n", d.mnemonic, d.class_name, d.length, length, text,
               known ? strrchr(line, '/') : "?");
        printf("written %d", s->written(in, &kind, &number));
        printf(" kind %d x%u\n", kind == OBSERVE_X, number);
        printf("memory %d, nowhere %d\n",
               s->read_memory(h, pc, memory, 4) && memory[0] == (d.word & 255),
               s->read_memory(h, 8, memory, 4));
        printf("csr vlenb %" PRIu64 ", none %d, x99 %d\n", read(h, OBSERVE_CSR, 0xc22),
               read(h, OBSERVE_CSR, 0x123) != 0, read(h, OBSERVE_X, 99) != 0);
    }
    s->accesses(h, in, visit, NULL);
}

static void begin(void *context, struct hart *h, const char *name)
{
    (void)context, (void)h;
    printf("begin %s\n", strrchr(name, '/') ? "program" : name);
}

static void end(void *context, struct hart *h)
{
    (void)context;
    printf("end, x0 %" PRIu64 "\n", read(h, OBSERVE_X, 0));
}

static void finish(void *context, int exit_code)
{
    (void)context;
    printf("finish %d\n", exit_code);
}

static bool open(const char *arguments, const observe_services *services, observer *out)
{
    s = services;
    last_function = arguments;
    *out = (observer){
        .begin = begin, .gate = gate, .instruction = instruction, .end = end, .finish = finish};
    return strcmp(arguments, "refuse") != 0;
}

const observe_plugin lutra_plugin = {OBSERVE_PLUGIN_VERSION, "everything", open};
