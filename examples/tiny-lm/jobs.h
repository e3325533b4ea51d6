// Independent jobs on several threads. Which thread does which is left to chance, so that results
// must not depend on it.
#pragma once

// job(context, thread, index) for each index below `count`; thread < threads.
typedef void job(void *context, int thread, int index);
void run_jobs(int threads, int count, job *f, void *context);
