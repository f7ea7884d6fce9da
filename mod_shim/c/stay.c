/* A thread that has answered stays with its client for a moment.
 *
 * The event MPM looks whether the client has sent another request while the answer to the last one is still put aside,
 * and finds none. The connection goes to the listener, which wakes another thread once the client has sent one. Here
 * the answer goes out first, as far as the client takes it, and then it is looked again: by a filter on the way of
 * what comes in, since at that look the request is over and has been logged.
 *
 * Where one client has this child to itself, and is on the same machine, its next request is there by then, if it may
 * have the processor; see schedule.c. Among a few that ask as soon as they are answered, as a proxy does in front of
 * httpd, the thread waits for it, like those of httpd's other MPMs, but only for a moment and as long as that pays.
 * Among many it does not, since those with whom threads stay would be served before all others. What is not there in
 * time goes the usual way.
 */
#include "wsgid.h"
#include "ap_mpm.h"
#include "apr_atomic.h"
#include "scoreboard.h"
#include "util_filter.h"
#include <poll.h>

/* So many milliseconds. */
#define STAY 3
/* A request that comes in time wins one point, one that does not loses two. Without any only one answer in so many is
 * tried. */
#define MOST_POINTS 8
#define TRY_EACH 32
/* Where so many of a child's threads are occupied, or a quarter of them, none waits. */
#define FEW 16

static ap_filter_rec_t *filter;

/* Has the MPM a listener in the way of the next request? This and the next are set before there are threads. */
static int has_listener;
/* With so many occupied threads none may wait. */
static apr_uint32_t most_occupied;
/* Threads that have a request of ours, or wait. */
static volatile apr_uint32_t occupied;
/* A point that two threads win at a time may count once. */
static volatile apr_uint32_t points, answers;
/* Never looked into: it may have ended. */
static volatile void *answered_last;

/* What httpd has put aside for the client goes out at once. False if not all of it does. */
static int send_now(conn_rec *c)
{
    ap_filter_t *last = c->output_filters;

    while (last->next)
        last = last->next;
    /* It alone knows a missing brigade; what fails, has marked the connection, and httpd looks there. */
    if (last->frec != ap_core_output_filter_handle)
        return 0;
    last->frec->filter_func.out_func(last, NULL);
    return !c->aborted && !c->data_in_output_filters;
}

static void count(int won)
{
    apr_uint32_t before = apr_atomic_read32(&points);

    if (won)
        apr_atomic_set32(&points, before < MOST_POINTS ? before + 1 : MOST_POINTS);
    else
        apr_atomic_set32(&points, before > 2 ? before - 2 : 0);
}

/* Waits, and says whether something has come. */
static int comes(conn_rec *c)
{
    struct pollfd socket = { .events = POLLIN };
    int ready;

    if (apr_os_sock_get(&socket.fd, ap_get_conn_socket(c)) != APR_SUCCESS)
        return 0;
    ap_update_child_status(c->sbh, SERVER_BUSY_KEEPALIVE, NULL);
    ready = poll(&socket, 1, STAY) > 0;
    count(ready);
    return ready;
}

/* Sends the answer, and says whether it is worth another look. */
static int stay(conn_rec *c)
{
    int came = 0;

    if (apr_atomic_xchgptr(&answered_last, c) == c) {
        wsgid_give_way(1);
        came = send_now(c);
        wsgid_give_way(0);
        return came;
    }
    if (apr_atomic_read32(&points) == 0 && apr_atomic_inc32(&answers) % TRY_EACH != 0)
        return 0;
    if (apr_atomic_inc32(&occupied) < most_occupied)
        came = send_now(c) && comes(c);
    apr_atomic_dec32(&occupied);
    return came;
}

/* What comes in passes; only where httpd looks for one more request, there may be one later than now. */
static apr_status_t look(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode, apr_read_type_e block,
                         apr_off_t bytes)
{
    int *answered = f->ctx;
    apr_status_t status = ap_get_brigade(f->next, bb, mode, block, bytes);
    int has_answered = *answered;

    *answered = 0;
    if (!has_answered || f->c->keepalive != AP_CONN_KEEPALIVE || mode != AP_MODE_SPECULATIVE
        || block != APR_NONBLOCK_READ)
        return status;
    if (!APR_STATUS_IS_EAGAIN(status) && !(status == APR_SUCCESS && APR_BRIGADE_EMPTY(bb)))
        return status;
    return stay(f->c) ? ap_get_brigade(f->next, bb, mode, block, bytes) : status;
}

/* A thread has to do with a request of ours, or no longer. */
void wsgid_occupy(int on)
{
    if (on)
        apr_atomic_inc32(&occupied);
    else
        apr_atomic_dec32(&occupied);
}

/* A request of this connection's is as good as answered. */
void wsgid_stay_with(conn_rec *c)
{
    int *answered = ap_get_module_config(c->conn_config, &wsgi_module);

    if (!has_listener || !c->cs || c->master || c->keepalive != AP_CONN_KEEPALIVE)
        return;
    if (!answered) {
        answered = apr_pcalloc(c->pool, sizeof(*answered));
        ap_set_module_config(c->conn_config, &wsgi_module, answered);
        ap_add_input_filter_handle(filter, answered, NULL, c);
    }
    *answered = 1;
}

/* What httpd does not tell stays 0, and is not the case. */
void wsgid_allow_staying(void)
{
    int threads = 0;

    (void)ap_mpm_query(AP_MPMQ_IS_ASYNC, &has_listener);
    if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) == APR_SUCCESS)
        most_occupied = threads < 4 * FEW ? (apr_uint32_t)threads / 4 : FEW;
}

void wsgid_register_staying(void)
{
    filter = ap_register_input_filter("WSGI_STAY", look, NULL, AP_FTYPE_CONNECTION);
}
