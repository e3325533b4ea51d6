#include "examples/tiny-lm/jobs.h"

#include "support/diagnostic.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MAX_THREADS = 64 };

typedef struct job_list {
    int count;
    job *function;
    void *context;
    atomic_int next;
} job_list;

typedef struct worker {
    job_list *list;
    int thread;
    pthread_t id;
} worker;

static void *work(void *argument)
{
    const worker *w = argument;
    for (int i; (i = atomic_fetch_add(&w->list->next, 1)) < w->list->count;)
        w->list->function(w->list->context, w->thread, i);
    return NULL;
}

void run_jobs(int threads, int count, job *f, void *context)
{
    job_list list = {.count = count, .function = f, .context = context};
    worker workers[MAX_THREADS];
    if (threads > MAX_THREADS)
        INTERNAL_ERROR("more than %d threads", MAX_THREADS);
    for (int i = 0; i < threads; i++) {
        workers[i] = (worker){.list = &list, .thread = i};
        if (i > 0 && pthread_create(&workers[i].id, NULL, work, &workers[i]) != 0)
            INTERNAL_ERROR("no thread can be started");
    }
    work(&workers[0]);
    for (int i = 1; i < threads; i++)
        pthread_join(workers[i].id, NULL);
}
