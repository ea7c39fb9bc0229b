/* The one file that knows threads.
 *
 * A kernel runs as a team: every rank calls it once and computes its own share. The team is as large as the work is
 * worth, so small kernels run on the calling thread and pay nothing. Results never depend on the team
 * (docs/numerics.md).
 *
 * After fork() the child runs every team serially: libgomp cannot be entered in a child whose parent has used it
 * (GCC bug 52303), and by the numeric contract the bits are the same.
 */
#ifdef __linux__
#define _GNU_SOURCE /* sched_getcpu, sched_setaffinity, syscall */
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#include <stdatomic.h>
#include <stdlib.h>

#ifdef _OPENMP
#include <omp.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#endif

#include "nncore.h"

/* Work per thread that pays for waking it: at 0.1 ns or so a unit, several times a fork-join of a spinning team. */
#define WORK_PER_THREAD 100000.0

static int threads_wanted = 1;
static bool forked = false;
#ifdef _OPENMP
static int openmp_threads_at_start = 1;
#endif

/* ---- scratch: blocks for the teams that run now, kept for the next ---- */
typedef struct block {
    struct block *next;
    int ranks;
    unsigned char *memory;
} block;

static block *free_blocks = NULL;
static atomic_flag blocks_lock = ATOMIC_FLAG_INIT;

static void lock_blocks(void) {
    while (atomic_flag_test_and_set_explicit(&blocks_lock, memory_order_acquire)) {}
}
static void unlock_blocks(void) { atomic_flag_clear_explicit(&blocks_lock, memory_order_release); }

static void release_block(block *b) {
    lock_blocks();
    b->next = free_blocks;
    free_blocks = b;
    unlock_blocks();
}

static block *acquire_block(int ranks) {
    lock_blocks();
    block *b = free_blocks;
    if (b) free_blocks = b->next;
    unlock_blocks();
    if (b && b->ranks >= ranks) return b;
    if (!b && !(b = calloc(1, sizeof *b))) return NULL;
    free(b->memory);
    b->ranks = ranks;
    /* over-allocated by hand: aligned_alloc is missing on Windows */
    b->memory = malloc((size_t)ranks * NN_SCRATCH + 64);
    if (b->memory) return b;
    free(b);
    return NULL;
}

/* ---- places ----
 * Linux may wake a worker on the processor of the thread that wakes it, most of all while the threads of another
 * library spin elsewhere, and balances the load milliseconds later. Until then two ranks take turns on one processor.
 * So workers may run wherever the process may, but where rank 0 is: before rank 0 wakes them from another processor
 * than the last time, it changes that; and a worker that is new and finds itself there leaves. Threads that
 * OMP_PROC_BIND or OMP_PLACES have bound stay where they are. */
#ifdef _OPENMP
#ifdef __linux__
#define MOST_WORKERS 255
typedef struct {
    int avoided; /* the processor that the workers keep off */
    int count;
    pid_t worker[MOST_WORKERS];
} places;
static _Thread_local places places_of_team = {.avoided = -1}; /* of the team that this thread leads */

static void keep_off(int home, const pid_t *threads, int count) {
    cpu_set_t allowed;
    if (sched_getaffinity(getpid(), sizeof allowed, &allowed)) return;
    CPU_CLR((size_t)home, &allowed);
    if (CPU_COUNT(&allowed) == 0) return;
    for (int i = 0; i < count; i++) sched_setaffinity(threads[i], sizeof allowed, &allowed);
}

/* Rank 0, before the workers are woken. Returns its processor, or -1 where threads are bound. */
static int take_place(places *p) {
    if (omp_get_proc_bind() != omp_proc_bind_false) return -1;
    const int home = sched_getcpu();
    if (home >= 0 && home != p->avoided) {
        keep_off(home, p->worker, p->count);
        p->avoided = p->count > 0 ? home : -1;
    }
    return home;
}

static void find_place(places *p, int rank, int home) {
    static _Thread_local pid_t own = 0;
    if (own == 0) own = (pid_t)syscall(SYS_gettid);
    if (rank <= MOST_WORKERS) p->worker[rank - 1] = own;
    if (home >= 0 && sched_getcpu() == home) keep_off(home, &own, 1);
}

static void note_workers(places *p, int workers) {
    if (workers > MOST_WORKERS) workers = MOST_WORKERS;
    if (workers != p->count) p->avoided = -1;
    p->count = workers;
}
#else
typedef int places;
static places places_of_team = 0;
static int take_place(places *p) { return *p; }
static void find_place(places *p, int rank, int home) { (void)p, (void)rank, (void)home; }
static void note_workers(places *p, int workers) { (void)p, (void)workers; }
#endif
#endif

/* ---- teams ---- */
void nn_barrier(const nn_team *team) {
    if (team->size > 1) {
#ifdef _OPENMP
#pragma omp barrier
#endif
    }
}

int nn_get_num_threads(void) {
    if (forked) return 1;
#ifdef _OPENMP
    /* threadpoolctl and omp_set_num_threads lower this; honour it */
    const int now = omp_get_max_threads();
    if (now < openmp_threads_at_start && now < threads_wanted) return now;
#endif
    return threads_wanted;
}

void nn_set_num_threads(int threads) { threads_wanted = threads < 1 ? 1 : threads; }

bool nn_run(nn_kernel_fn kernel, const void *args, double work) {
    int threads = 1;
    if (work >= 2 * WORK_PER_THREAD) {
        threads = nn_get_num_threads();
        if (work < threads * WORK_PER_THREAD) threads = (int)(work / WORK_PER_THREAD);
#ifdef _OPENMP
        if (omp_in_parallel()) threads = 1;
#else
        threads = 1;
#endif
    }
    block *b = acquire_block(threads);
    if (!b) return false;
    unsigned char *scratch = (unsigned char *)(((uintptr_t)b->memory + 63) & ~(uintptr_t)63);
    if (threads == 1) {
        const nn_team team = {1, scratch};
        kernel(args, &team, 0);
    } else {
#ifdef _OPENMP
        places *of_team = &places_of_team;
        const int home = take_place(of_team);
        int size = 1;
#pragma omp parallel num_threads(threads)
        {
            const nn_team team = {omp_get_num_threads(), scratch};
            const int rank = omp_get_thread_num();
            if (rank > 0)
                find_place(of_team, rank, home);
            else
                size = team.size;
            kernel(args, &team, rank);
        }
        note_workers(of_team, size - 1);
#endif
    }
    release_block(b);
    return true;
}

/* ---- start, fork ---- */
#ifndef _WIN32
static void after_fork_in_child(void) {
    forked = true;
    atomic_flag_clear(&blocks_lock); /* its holder may be a thread that no longer exists */
    free_blocks = NULL;              /* the list may have been caught half-changed; its blocks are abandoned */
}
#endif

void nn_parallel_init(int threads) {
    nn_set_num_threads(threads);
#ifdef _OPENMP
    openmp_threads_at_start = omp_get_max_threads();
#endif
#ifndef _WIN32
    static bool registered = false;
    if (!registered) registered = pthread_atfork(NULL, NULL, after_fork_in_child) == 0;
#endif
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
const char *nn_openmp_runtime(void) {
#if !defined(_OPENMP)
    return "none (serial build)";
#elif defined(__clang__)
    return "LLVM libomp, OpenMP " TEXT(_OPENMP);
#elif defined(__GNUC__)
    return "GNU libgomp, OpenMP " TEXT(_OPENMP);
#else
    return "OpenMP " TEXT(_OPENMP);
#endif
}
