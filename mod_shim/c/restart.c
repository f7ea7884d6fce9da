/* A graceful restart without a second in which nobody is served.
 *
 * After a graceful restart httpd's parent starts a child whenever one of the old ones has ended, and the
 * rest once it has slept for a second. The old ones accept nobody meanwhile: where each of them still has a
 * request, or a client that reads slowly, whoever comes waits in the backlog for that second. A signal ends
 * the sleep early, and then the parent does at once what it would have done after it. So it is sent one every
 * few milliseconds from the end of its configuration to the start of its first child.
 */
#include "wsgid.h"
#include <signal.h>
#include <time.h>

/* Nobody else sends it to httpd, and it is ignored where it has no handler. */
#define WAKE SIGURG

/* Between two signals, and how many at most: the second that it is all about. */
#define PAUSE (5 * 1000 * 1000)
static volatile sig_atomic_t left;

static timer_t timer;
static int is_running;
/* Whatever else may have wanted the signal. */
static struct sigaction before;

static void set_timer(long nanoseconds)
{
    struct itimerspec every = { { 0, nanoseconds }, { 0, nanoseconds } };
    timer_settime(timer, 0, &every, NULL);
}

/* That a handler has run is what ends the sleep. */
static void wake(int signal)
{
    if (--left <= 0)
        set_timer(0);
}

static apr_status_t stop(void *unused)
{
    if (is_running) {
        is_running = 0;
        timer_delete(timer);
        sigaction(WAKE, &before, NULL);
    }
    return APR_SUCCESS;
}

/* Called when the configuration has been read; at the first start there is no sleep to be ended. Without a
 * timer the restart takes a second more, as it does without this module. */
void wsgid_hasten_restart(apr_pool_t *pconf)
{
    struct sigaction action = { .sa_handler = wake, .sa_flags = SA_RESTART };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = WAKE };
    int generation = 0;

    if (ap_mpm_query(AP_MPMQ_GENERATION, &generation) != APR_SUCCESS || generation == 0)
        return;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0)
        return;
    sigaction(WAKE, &action, &before);
    left = 1000 * 1000 * 1000 / PAUSE;
    is_running = 1;
    apr_pool_cleanup_register(pconf, NULL, stop, apr_pool_cleanup_null);
    set_timer(PAUSE);
}

void wsgid_child_status(server_rec *s, pid_t pid, ap_generation_t generation, int slot, mpm_child_status status)
{
    int current = 0;

    if (status == MPM_CHILD_STARTED && ap_mpm_query(AP_MPMQ_GENERATION, &current) == APR_SUCCESS &&
        generation == current)
        stop(NULL);
}
