#include "runtime/host/model_file.h"

#include "runtime/host/refuse.h"
#include "support/metadata.h"
#include "support/reader.h"
#include "support/text.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REFUSED = 1, CANNOT_RUN = 127 }; // exit codes: of lutc, which has said why; as of a shell

static const char models_variable[] = "LUTRA_MODELS", extension[] = ".lut";

bool model_file_is(const char *path)
{
    char magic[4] = {0};
    struct stat status; // what is taken out of a pipe would be missing later
    FILE *f = stat(path, &status) == 0 && S_ISREG(status.st_mode) ? fopen(path, "rb") : NULL;
    size_t count = f ? fread(magic, 1, sizeof magic, f) : 0;
    if (f)
        fclose(f);
    return count == sizeof magic && memcmp(magic, GGUF_MAGIC, sizeof magic) == 0;
}

// ------------------------------------------------------------------- architectures

static bool read_architecture(arena *a, diagnostics *d, const char *path, const char **out)
{
    mapped_file file;
    gguf_header header;
    metadata m = {0};
    if (!file_map(d, path, &file))
        return false;
    byte_reader r = {.data = file.data,
                     .size = file.size,
                     .diagnostics = d,
                     .where = {.source = diagnostics_source(d, path, NULL, 0)}};
    bool ok = gguf_metadata_read(a, &r, &header, &m);
    const meta_value *v = ok ? metadata_find(&m, "general.architecture") : NULL;
    bool found = v && v->kind == META_TEXT && v->text.length > 0;
    if (found)
        *out = arena_string(a, v->text.data, v->text.length);
    else if (ok)
        refuse(d, r.where,
               "metadata 'general.architecture' is missing; lutc MODEL.lut --weights "
               "compiles such files");
    file_unmap(&file);
    return found;
}

// The folder of this executable, "" where it cannot be known.
static const char *own_folder(arena *a)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(path, '/');
    return slash ? arena_string(a, path, (size_t)(slash - path)) : "";
}

static const char *models_folder(arena *a)
{
    const char *chosen = getenv(models_variable);
    return chosen && *chosen ? chosen : arena_format(a, "%s/../share/lutra/models", own_folder(a));
}

static int is_model(const struct dirent *entry)
{
    return text_ends_with(entry->d_name, extension);
}

static const char *list_models(arena *a, const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_model, alphasort);
    text list = {0};
    for (int i = 0; i < count; i++) {
        size_t length = strlen(entries[i]->d_name) - strlen(extension);
        text_printf(&list, "%s%.*s", i ? ", " : "", (int)length, entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    const char *copy = count > 0 ? arena_string(a, list.data, list.length) : "none";
    text_free(&list);
    return copy;
}

// A name from outside becomes a part of a path: only of these characters.
static bool plain_name(const char *name)
{
    return name[0] != '.' && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789._-") == strlen(name);
}

static const char *find_model(arena *a, diagnostics *d, const char *path, const char *architecture)
{
    const char *folder = models_folder(a);
    const char *model = arena_format(a, "%s/%s%s", folder, architecture, extension);
    if (plain_name(architecture) && access(model, R_OK) == 0)
        return model;
    text shown = {0};
    text_quoted(&shown, architecture, strlen(architecture));
    location where = {.source = diagnostics_source(d, path, NULL, 0)};
    refuse(d, where, "the architecture %s is not known; the models in %s ($%s): %s",
           text_string(&shown), folder, models_variable, list_models(a, folder));
    text_free(&shown);
    return NULL;
}

// ----------------------------------------------------------------------- compiling

// Ends with this process, so that it writes nothing that nobody removes.
static void become_compiler(const char *const *argv, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent)
        execv(argv[0], (char *const *)argv);
    _exit(CANNOT_RUN);
}

static bool run_compiler(diagnostics *d, const char *const *argv)
{
    int status;
    pid_t parent = getpid();
    if (access(argv[0], X_OK) < 0)
        return refuse(d, NOWHERE, "cannot run %s: %s", argv[0], strerror(errno));
    pid_t child = fork();
    if (child < 0)
        return refuse(d, NOWHERE, "cannot run %s: %s", argv[0], strerror(errno));
    if (child == 0)
        become_compiler(argv, parent);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return refuse(d, NOWHERE, "cannot wait for %s: %s", argv[0], strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED)
        return false;
    if (WIFEXITED(status))
        return refuse(d, NOWHERE, "%s could not compile %s (exit code %d)", argv[0], argv[1],
                      WEXITSTATUS(status));
    return refuse(d, NOWHERE, "%s was ended by signal %d", argv[0], WTERMSIG(status));
}

static bool compile(arena *a, diagnostics *d, const char *model, const char *path,
                    const model_file_options *o, const char *output)
{
    const struct {
        const char *name, *value;
    } rows[] = {{"--weights", path},           {"--output", output},    {"--quant", o->quant},
                {"--calibrate", o->calibrate}, {"--tables", o->tables}, {"--machine", o->machine}};
    enum { ROWS = sizeof rows / sizeof *rows };
    const char **argv = ARENA_ARRAY(a, const char *, ROWS + o->defines->count + 3);
    size_t count = 2;
    argv[0] = arena_format(a, "%s/lutc", own_folder(a));
    argv[1] = model;
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].value)
            argv[count++] = arena_format(a, "%s=%s", rows[i].name, rows[i].value);
    for (size_t i = 0; i < o->defines->count; i++)
        argv[count++] = arena_format(a, "--define=%s", o->defines->items[i]);
    return run_compiler(d, argv);
}

// Where a program can be kept: where it can be read again.
static bool check_save(diagnostics *d, const char *save)
{
    struct stat status;
    if (strcmp(save, "-") == 0 || (stat(save, &status) == 0 && !S_ISREG(status.st_mode)))
        return refuse(d, NOWHERE, "--save %s: expected the name of a file", save);
    return true;
}

// A name in the folder of temporary files, nothing of which will appear under it.
static const char *passing_name(arena *a)
{
    const char *folder = getenv("TMPDIR");
    return arena_format(a, "%s/lutrun.elf", folder && *folder ? folder : "/tmp");
}

bool model_file_compile(arena *a, diagnostics *d, const char *path, const model_file_options *o,
                        const char **program, output_file **file)
{
    const char *architecture = NULL;
    *file = NULL;
    if ((o->save && !check_save(d, o->save)) || !read_architecture(a, d, path, &architecture))
        return false;
    const char *model = find_model(a, d, path, architecture);
    output_file *f = model ? output_open(d, o->save ? o->save : passing_name(a)) : NULL;
    if (!f)
        return false;
    *program = arena_format(a, "%s", o->save ? o->save : output_path(f));
    if (!compile(a, d, model, path, o, output_path(f))) {
        output_abandon(f);
        return false;
    }
    if (o->save) {
        output_make_executable(f);
        return output_commit(d, f);
    }
    *file = f;
    return true;
}
