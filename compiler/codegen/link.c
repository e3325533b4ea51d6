// Linking: ld.lld as a process, fed and read through unnamed files, so that
// nothing is left behind and no file name gets into the bytes; then the weights.
#include "compiler/codegen/codegen.h"
#include "compiler/codegen/elf.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// Where Debian's lld-19 puts it, and what other systems call it.
static const char *const linkers[] = {"ld.lld-19", "/usr/lib/llvm-19/bin/ld.lld", "ld.lld"};

// ---------------------------------------------------------------- unnamed files

static bool fill(FILE *f, const text *content)
{
    return fwrite(content->data, 1, content->length, f) == content->length && !fflush(f) &&
           !fseek(f, 0, SEEK_SET);
}

static bool read_all(FILE *f, text *out)
{
    char buffer[1 << 16];
    size_t n;
    rewind(f);
    while ((n = fread(buffer, 1, sizeof buffer, f)))
        text_append_n(out, buffer, n);
    return !ferror(f);
}

typedef struct link_files {
    FILE *object, *program, *messages; // the linker's stdin, stdout, stderr
} link_files;

static void close_files(link_files *f)
{
    FILE *all[] = {f->object, f->program, f->messages};
    for (unsigned i = 0; i < 3; i++)
        if (all[i])
            fclose(all[i]);
}

static bool open_files(link_files *f, diagnostics *d, const text *object)
{
    *f = (link_files){tmpfile(), tmpfile(), tmpfile()};
    if (f->object && f->program && f->messages && fill(f->object, object))
        return true;
    diagnostic_error(d, NOWHERE, "cannot make temporary files for linking: %s", strerror(errno));
    return false;
}

// -------------------------------------------------------------------- the linker

// Starts the first linker there is; false: errno says why not.
static bool start_linker(const link_files *f, char *const *arguments, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(f->object), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fileno(f->program), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fileno(f->messages), STDERR_FILENO);
    int error = ENOENT;
    for (size_t i = 0; i < sizeof linkers / sizeof *linkers && error == ENOENT; i++)
        error = posix_spawnp(child, linkers[i], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    errno = error;
    return !error;
}

static bool wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void report_failure(diagnostics *d, FILE *messages)
{
    text said = {0};
    read_all(messages, &said);
    while (said.length && said.data[said.length - 1] == '\n')
        said.data[--said.length] = '\0';
    diagnostic_error(d, NOWHERE, "linking failed: %s", text_string(&said));
    text_free(&said);
}

// The list of words ends with NULL.
static bool run_linker(link_files *f, diagnostics *d, const char *const *words)
{
    char *arguments[32] = {
        "ld.lld", "--discard-locals", "--build-id=none", "--fatal-warnings", "--threads=1", "-o",
        "-"};
    size_t n = 7;
    while (*words && n + 1 < sizeof arguments / sizeof *arguments)
        arguments[n++] = (char *)*words++;
    pid_t child;
    if (!start_linker(f, arguments, &child)) {
        diagnostic_error(d, NOWHERE,
                         "cannot start the linker ld.lld-19: %s; on Debian it is in the "
                         "package lld-19",
                         strerror(errno));
        return false;
    }
    if (wait_for(child))
        return true;
    report_failure(d, f->messages);
    return false;
}

// ------------------------------------------------------------------ the program

static bool write_weights(diagnostics *d, const weight_source *weights, output_file *out)
{
    FILE *stream = output_stream(out);
    off_t start = ftello(stream);
    if (!weights->write(weights->context, d, stream))
        return false;
    off_t end = ftello(stream);
    if (start >= 0 && end >= 0 && (uint64_t)(end - start) != weights->size)
        INTERNAL_ERROR("%lld bytes of weights were written, %llu announced",
                       (long long)(end - start), (unsigned long long)weights->size);
    return true;
}

static bool write_program(diagnostics *d, text *image, const weight_source *weights,
                          output_file *out)
{
    bool some = weights && weights->size;
    if (some && !elf_add_segment(image, PROGRAM_WEIGHTS_ADDRESS, weights->size)) {
        diagnostic_error(d, NOWHERE, "the linker's output is not the ELF file that was expected");
        return false;
    }
    if (fwrite(image->data, 1, image->length, output_stream(out)) != image->length) {
        diagnostic_error(d, NOWHERE, "cannot write '%s': %s", output_target(out), strerror(errno));
        return false;
    }
    output_make_executable(out);
    return !some || write_weights(d, weights, out);
}

bool codegen_link(diagnostics *d, const text *object, const char *entry,
                  const weight_source *weights, output_file *out)
{
    link_files f;
    text image = {0};
    const char *const words[] = {"-m",        "elf64lriscv",          "-static",
                                 "-nostdlib", "--image-base=0x10000", "-e",
                                 entry,       "/dev/stdin",           NULL};
    bool ok = open_files(&f, d, object) && run_linker(&f, d, words);
    if (ok && !read_all(f.program, &image)) {
        diagnostic_error(d, NOWHERE, "cannot read the linker's output: %s", strerror(errno));
        ok = false;
    }
    ok = ok && write_program(d, &image, weights, out);
    text_free(&image);
    close_files(&f);
    return ok;
}

// -------------------------------------------------------------------- libraries

// Where systems keep the C library that the runtime calls: symbols get their versions from it.
static const char *libc_folder(void)
{
    static const char *const folders[] = {"/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu",
                                          "/usr/lib64", "/lib64", "/usr/lib"};
    static char path[64];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/libc.so.6", folders[i]);
        if (access(path, R_OK) == 0)
            return path;
    }
    return NULL;
}

bool codegen_link_library(diagnostics *d, const text *object, const char *symbol,
                          const code_target *t, const char *runtime, output_file *out)
{
    text alias = {0};
    text_printf(&alias, "--defsym=lutra_library=%s", symbol);
    bool arm = strncmp(t->triple, "aarch64", 7) == 0;
    link_files f;
    text image = {0};
    const char *const words[] = {"-m",
                                 arm ? "aarch64linux" : "elf_x86_64",
                                 "-shared",
                                 "-znoexecstack",
                                 text_string(&alias),
                                 "/dev/stdin",
                                 "--whole-archive",
                                 runtime,
                                 "--no-whole-archive",
                                 libc_folder(),
                                 NULL};
    bool ok = open_files(&f, d, object) && run_linker(&f, d, words);
    if (ok && !read_all(f.program, &image)) {
        diagnostic_error(d, NOWHERE, "cannot read the linker's output: %s", strerror(errno));
        ok = false;
    }
    ok = ok && write_program(d, &image, NULL, out);
    text_free(&alias);
    text_free(&image);
    close_files(&f);
    return ok;
}
