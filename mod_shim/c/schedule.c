/* How httpd's children share a processor with those whom they wake, and who wake them.
 *
 * A thread that hands something on, to the listener or to a worker, goes to sleep in the next moment. The usual
 * policy lets whoever is woken take the processor in that very moment, so that both sleep and wake once more than
 * they need. SCHED_BATCH, which is the workers' as well, leaves it to the thread until it sleeps.
 *
 * It is the other way round with a client on this machine, a proxy in front of httpd for one: if it takes the
 * processor as soon as its answer is there, the thread that has answered finds the next request when it goes on, and
 * need not hand the connection back to the listener. The kernel lets it, if its slice of time is the shorter: so the
 * thread's is twice the usual one while it answers. Among many requests that would be in the way, see stay.c; and
 * kernels before Linux 6.12 know no slices.
 */
#include "wsgid.h"
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From linux/sched.h: whatever policy somebody may have given the thread since, it stays. */
#define KEEP_POLICY 0x08

/* The kernel's struct sched_attr in its first version, sched_setattr(2): the C library has none before glibc 2.41. */
typedef struct {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime; /* the slice in nanoseconds, 0 where the kernel has none */
    uint64_t deadline;
    uint64_t period;
} scheduling;

/* Of all threads of the child; without slices if they can't be had. */
static scheduling usual, giving_way;

static void note_slices(void)
{
    scheduling how = { .size = sizeof(how) };

    if (syscall(SYS_sched_getattr, 0, &how, sizeof(how), 0) < 0)
        return;
    how.flags |= KEEP_POLICY;
    usual = giving_way = how;
    giving_way.runtime *= 2;
}

/* The threads that the child starts are scheduled as this one is. Not where somebody has chosen another policy. */
void wsgid_schedule(server_rec *s)
{
    struct sched_param none = { 0 };

    if (wsgid_global.inherit_scheduling || sched_getscheduler(0) != SCHED_OTHER)
        return;
    if (sched_setscheduler(0, SCHED_BATCH, &none) < 0) {
        ap_log_error(APLOG_MARK, APLOG_INFO, errno, s, "WSGICPUScheduling batch is not to be had");
        return;
    }
    note_slices();
}

/* Does this thread leave the processor to whoever it wakes, from here on? Where it can't, nothing depends on it. */
void wsgid_give_way(int on)
{
    if (usual.runtime)
        (void)syscall(SYS_sched_setattr, 0, on ? &giving_way : &usual, 0);
}
