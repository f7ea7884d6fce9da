/* What a worker may ask while it has a request or a question: mod_ssl's variables and httpd's scoreboard. */
#include "wsgid.h"
#include "scoreboard.h"
#include "mod_ssl.h"

int wsgid_is_https(void *r_)
{
    const request_rec *r = r_;
    APR_OPTIONAL_FN_TYPE(ssl_is_https) *is_https = APR_RETRIEVE_OPTIONAL_FN(ssl_is_https);

    return is_https && is_https(r->connection);
}

shim_text wsgid_ssl_variable(void *r_, const char *name)
{
    request_rec *r = r_;
    APR_OPTIONAL_FN_TYPE(ssl_var_lookup) *look_up = APR_RETRIEVE_OPTIONAL_FN(ssl_var_lookup);

    if (!look_up)
        return wsgid_text(NULL);
    return wsgid_text(look_up(r->pool, r->server, r->connection, r, apr_pstrdup(r->pool, name)));
}

static shim_scoreboard score_board(void)
{
    const global_score *global = ap_exists_scoreboard_image() ? ap_get_scoreboard_global() : NULL;
    shim_scoreboard board = { .known = global != NULL };

    if (global) {
        board.server_limit = global->server_limit;
        board.thread_limit = global->thread_limit;
        board.generation = global->running_generation;
        board.restart_time = global->restart_time;
        board.current_time = apr_time_now();
    }
    return board;
}

static shim_process score_process(uint32_t number)
{
    const process_score *score = ap_get_scoreboard_process((int)number);
    shim_process process = { .known = score != NULL };

    if (score) {
        process.pid = score->pid;
        process.generation = score->generation;
        process.quiescing = score->quiescing;
    }
    return process;
}

/* Other processes write while this one reads: a text may be torn, but ends. */
#define COPY(from, into)                                                       \
    do {                                                                       \
        _Static_assert(sizeof(from) <= sizeof(into), "shim.h must make room"); \
        apr_cpystrn(into, from, sizeof(from));                                 \
    } while (0)

static shim_thread score_thread(uint32_t process, uint32_t number)
{
    const worker_score *score = ap_get_scoreboard_worker_from_indexes((int)process, (int)number);
    shim_thread thread = { .known = score != NULL };

    if (score) {
        thread.number = score->thread_num;
        thread.generation = score->generation;
        thread.status = score->status;
        thread.access_count = score->access_count;
        thread.bytes_served = score->bytes_served;
        thread.start_time = score->start_time;
        thread.stop_time = score->stop_time;
        thread.last_used = score->last_used;
        COPY(score->client, thread.client);
        COPY(score->request, thread.request);
        COPY(score->vhost, thread.vhost);
    }
    return thread;
}

const shim_scores wsgid_scores = { .board = score_board, .process = score_process, .thread = score_thread };
