/* How httpd's children share a processor with those whom they wake, and who wake them.
 *
 * A thread that hands something on, to the listener or to a worker, goes to sleep in the next moment. The usual
 * policy lets whoever is woken take the processor in that very moment, so that both sleep and wake once more than
 * they need. SCHED_BATCH, which is the workers' as well, leaves it to the thread until it sleeps.
 *
 * A client on this machine, a proxy in front of httpd for one, has the usual policy. It may take the processor as soon
 * as its answer is there, if its slice of time is the shorter: the thread that has answered then finds the next
 * request when it goes on, and need not hand the connection back to the listener. So a child's slice is twice the
 * usual one; kernels before Linux 6.12 know no slices.
 */
#include "wsgid.h"
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* Where that can't be had, the policy does without. */
static void double_slice(void)
{
    scheduling how = { .size = sizeof(how) };

    if (syscall(SYS_sched_getattr, 0, &how, sizeof(how), 0) < 0 || how.runtime == 0)
        return;
    how.runtime *= 2;
    (void)syscall(SYS_sched_setattr, 0, &how, 0);
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
    double_slice();
}
