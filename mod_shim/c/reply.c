/* The door's other functions: what the client gets, by way of brigades, and what the request knows. */
#include "wsgid.h"
#include "apr_date.h"
#include "apr_portable.h"
#include "apu_version.h"
#include "mod_core.h"
#include "util_filter.h"

/* For reading files that are not sent by sendfile. */
#define FILE_BUFFER (64 * 1024)

static void set_status(void *r_, int status, shim_text reason)
{
    request_rec *r = r_;

    wsgid_request_of(r)->prior_status = r->status;
    r->status = status;
    if (reason.length)
        r->status_line = apr_psprintf(r->pool, "%d %.*s", status, (int)reason.length, reason.data);
    else
        r->status_line = NULL;
}

static int is(const char *name, const char *known)
{
    return strcasecmp(name, known) == 0;
}

static void add_header(void *r_, shim_text name_, shim_text value_)
{
    request_rec *r = r_;
    const char *name = apr_pstrmemdup(r->pool, name_.data, name_.length);
    char *value = apr_pstrmemdup(r->pool, value_.data, value_.length);

    if (is(name, "Content-Type")) {
        /* As for CGI: what compares types, AddOutputFilterByType for one, expects lower case. */
        ap_content_type_tolower(value);
        ap_set_content_type(r, value);
    }
    else if (is(name, "Content-Length")) {
        apr_off_t length;
        if (ap_parse_strict_length(&length, value))
            ap_set_content_length(r, length);
    }
    else if (is(name, "Transfer-Encoding"))
        /* How the body travels is httpd's to say (PEP 3333, "Other HTTP Features"). */
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "The application's Transfer-Encoding header is dropped");
    else if (is(name, "Last-Modified") && apr_date_parse_http(value) != APR_DATE_BAD) {
        /* As for CGI: in httpd's own spelling, and never in the future. */
        ap_update_mtime(r, apr_date_parse_http(value));
        ap_set_last_modified(r);
    }
    else if (is(name, "WWW-Authenticate"))
        apr_table_addn(r->err_headers_out, name, value);
    else if (is(name, "Location") || is(name, "Content-Range"))
        apr_table_setn(r->headers_out, name, value);
    else
        apr_table_addn(r->headers_out, name, value);
}

/*
 * A path on this server with 200: another of its resources is to answer, as for CGI (RFC 3875, 6.2.2).
 * Whoever answers in place of the application finds the request as if it had said nothing: a status that
 * is set already would pass for that of an earlier error document.
 */
static int diverts(void *r_)
{
    request_rec *r = r_;
    wsgid_request *request = wsgid_request_of(r);
    const char *location = apr_table_get(r->headers_out, "Location");

    if (r->status == HTTP_OK && location && *location == '/')
        request->redirect = location;
    else if (request->settings->error_override && ap_is_HTTP_ERROR(r->status))
        request->overridden = r->status;
    else
        return 0;
    r->status = request->prior_status;
    r->status_line = NULL;
    return 1;
}

/*
 * Reads what the application has left of the body. Who waits to be asked for it is not; then, and where it
 * can't be read, the connection serves no other request, since that might begin anywhere.
 */
static void drop_body(request_rec *r)
{
    wsgid_request *request = wsgid_request_of(r);
    shim_body part = SHIM_BODY_MORE;
    char buffer[8192];
    size_t length;
    int status;

    if (!request->has_body || request->body_ended)
        return;
    while (!r->expecting_100 && part == SHIM_BODY_MORE)
        part = wsgid_read_body(r, 1, buffer, sizeof(buffer), &length, &status);
    if (part != SHIM_BODY_LAST)
        r->connection->keepalive = AP_CONN_CLOSE;
}

static int divert(void *r_)
{
    request_rec *r = r_;
    const wsgid_request *request = wsgid_request_of(r);

    if (request->redirect || r->connection->master)
        drop_body(r);
    if (!request->redirect)
        return request->overridden;
    /* Whatever the method was, and its body has been for the application. */
    r->method = "GET";
    r->method_number = M_GET;
    apr_table_unset(r->headers_in, "Content-Length");
    apr_table_unset(r->headers_in, "Transfer-Encoding");
    ap_internal_redirect_handler(request->redirect, r);
    return OK;
}

/* What follows the head of an answer to HEAD is for nobody, and mod_http2 would send it. */
static int is_unseen(request_rec *r)
{
    return r->header_only && wsgid_request_of(r)->begun;
}

static void append(void *r_, const char *bytes, size_t length)
{
    request_rec *r = r_;
    apr_bucket_brigade *bb = wsgid_request_of(r)->output;

    if (is_unseen(r))
        return;
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_transient_create(bytes, length, r->connection->bucket_alloc));
}

/*
 * Will nobody in this process look at the bytes on their way to the socket? Then a file may be mapped
 * although its application may cut it at any time: the kernel, which finds nothing to copy, answers the
 * write with EFAULT, and the connection ends. Any other filter would be ended by a signal, and httpd's
 * child with it.
 */
static int is_only_sent(const request_rec *r)
{
    static const char *const passing[] = { "byterange", "content_length", "http_header", "http_outerror", "core" };
    const ap_filter_t *filter;
    size_t i;

    for (filter = r->output_filters; filter; filter = filter->next) {
        for (i = 0; i < sizeof(passing) / sizeof(*passing); ++i)
            if (strcmp(filter->frec->name, passing[i]) == 0)
                break;
        if (i == sizeof(passing) / sizeof(*passing))
            return 0;
    }
    return 1;
}

static int append_file(void *r_, int descriptor, uint64_t offset, uint64_t length)
{
    request_rec *r = r_;
    core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    apr_int32_t flags = APR_FOPEN_READ | APR_FOPEN_LARGEFILE;
    apr_os_file_t os_file = descriptor;
    apr_file_t *foreign = NULL, *file = NULL;
    apr_status_t status;
    apr_bucket *bucket;

    if (is_unseen(r)) {
        close(descriptor);
        return 1;
    }
    if (core->enable_sendfile == ENABLE_SENDFILE_ON || wsgid_request_of(r)->settings->sendfile)
        flags |= APR_FOPEN_SENDFILE_ENABLED;
    /*
     * A file made of a descriptor has no cleanup, and does not get one when a filter sets it aside for
     * a slow client: its duplicate has, wherever it goes.
     */
    status = apr_os_file_put(&foreign, &os_file, flags, r->pool);
    if (status == APR_SUCCESS)
        status = apr_file_dup(&file, foreign, r->pool);
    close(descriptor);
    if (status != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, status, r, "The application's file could not be taken over");
        return 0;
    }
    wsgid_request_of(r)->has_file = 1;
    bucket = apr_brigade_insert_file(wsgid_request_of(r)->output, file, (apr_off_t)offset, (apr_off_t)length,
                                     r->pool);
    if (core->enable_mmap == ENABLE_MMAP_OFF || !is_only_sent(r))
        apr_bucket_file_enable_mmap(bucket, 0);
#if APU_MAJOR_VERSION > 1 || APU_MINOR_VERSION >= 6
    apr_bucket_file_set_buf_size(bucket, FILE_BUFFER);
#endif
    return 1;
}

/*
 * httpd would serve ranges of whatever it happens to have whole, and of answers to any method. Only a
 * file is the same from one request to the next, and only GET has ranges (RFC 9110, 14.2).
 */
static void begin(request_rec *r, wsgid_request *request)
{
    ap_filter_t *filter, *next;

    request->begun = 1;
    if (request->has_file && r->method_number == M_GET)
        return;
    for (filter = r->output_filters; filter; filter = next) {
        next = filter->next;
        if (filter->frec == ap_byterange_filter_handle)
            ap_remove_output_filter(filter);
    }
}

static void client_timeout(void *r, uint32_t seconds)
{
    wsgid_request_of(r)->client_timeout = apr_time_from_sec(seconds);
}

/* The client's own time-out holds for this response, and not for what comes over the connection after it. */
static apr_status_t pass_in_time(request_rec *r, apr_bucket_brigade *bb)
{
    apr_interval_time_t patience = wsgid_request_of(r)->client_timeout, before;
    apr_socket_t *socket = patience ? ap_get_conn_socket(r->connection) : NULL;
    apr_status_t status;

    if (!socket || apr_socket_timeout_get(socket, &before) != APR_SUCCESS)
        return ap_pass_brigade(r->output_filters, bb);
    apr_socket_timeout_set(socket, patience);
    status = ap_pass_brigade(r->output_filters, bb);
    apr_socket_timeout_set(socket, before);
    return status;
}

/* Passes what was appended, with `last` behind it. */
static int pass_with(request_rec *r, apr_bucket *last)
{
    wsgid_request *request = wsgid_request_of(r);
    apr_bucket_brigade *bb = request->output;
    apr_status_t status;

    if (!request->begun)
        begin(r, request);

    APR_BRIGADE_INSERT_TAIL(bb, last);
    status = pass_in_time(r, bb);
    apr_brigade_cleanup(bb);
    if (status != APR_SUCCESS && !r->connection->aborted) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, status, r, "The response could not be sent");
        /* A filter gave up: no last chunk may make what the client has look whole. Unless the filter has
         * answered in our place. */
        if (status != AP_FILTER_ERROR)
            r->connection->aborted = 1;
    }
    return status == APR_SUCCESS && !r->connection->aborted;
}

static int pass(void *r_)
{
    request_rec *r = r_;
    return pass_with(r, apr_bucket_flush_create(r->connection->bucket_alloc));
}

/*
 * A body that nobody wanted is read, and dropped, by httpd: a client that is still sending it need not
 * wait for its answer until then. With HTTP/2 that has to be before the end, at which mod_http2 resets a
 * stream whose client is still sending; not every client looks at an answer whose stream was reset.
 */
static int finish(void *r_)
{
    request_rec *r = r_;
    const wsgid_request *request = wsgid_request_of(r);

    if (request->has_body && !request->body_ended) {
        if (!pass(r_))
            return 0;
        if (r->connection->master)
            drop_body(r);
    }
    if (!pass_with(r, apr_bucket_eos_create(r->connection->bucket_alloc)))
        return 0;
    if (!r->main)
        wsgid_stay_with(r->connection);
    return 1;
}

/*
 * HTTP/1.0 has nothing but the connection's end to tell where a response without length ends: a reset tells
 * that it was no regular one.
 */
static void reset(conn_rec *c)
{
    static const struct linger at_once = { 1, 0 };
    apr_os_sock_t number;

    if (apr_os_sock_get(&number, ap_get_conn_socket(c)) == APR_SUCCESS)
        setsockopt(number, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    c->aborted = 1;
}

/*
 * A bad gateway's error bucket behind a response that has begun keeps the chunk filter from writing
 * the last chunk, and makes mod_http2 reset the stream. What there is goes out first: in one brigade
 * with the head, the error bucket would turn the response into an error page, depending on timing. And
 * before the connection is marked for closing: a response whose end is the connection's is not chunked,
 * and could not be told from a whole one.
 */
static void truncate_(void *r_)
{
    request_rec *r = r_;
    apr_bucket_brigade *bb = wsgid_request_of(r)->output;
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;

    r->no_cache = 1;
    pass(r);
    r->connection->keepalive = AP_CONN_CLOSE;
    APR_BRIGADE_INSERT_TAIL(bb, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, alloc));
    pass_with(r, apr_bucket_eos_create(alloc));
    if (!r->connection->master && r->proto_num < HTTP_VERSION(1, 1))
        reset(r->connection);
}

/* Headers for errors are those that an ErrorDocument keeps. */
static void retry_after(void *r_, uint32_t seconds)
{
    request_rec *r = r_;
    apr_table_setn(r->err_headers_out, "Retry-After", apr_psprintf(r->pool, "%u", (unsigned)seconds));
}

/* LogFormat and expressions see the note; a document of ErrorDocument sees REDIRECT_WSGI_ERROR. */
static void note(void *r_, shim_text number)
{
    request_rec *r = r_;
    const char *text = apr_pstrmemdup(r->pool, number.data, number.length);

    apr_table_setn(r->notes, "wsgi-error", text);
    apr_table_setn(r->subprocess_env, "WSGI_ERROR", text);
}

/* The macro of httpd's would name the line of this file. */
static void log_(void *r_, int level, const char *text, size_t length, const char *file, uint32_t line)
{
    const request_rec *r = r_;

    ap_log_rerror_(file ? file : __FILE__, file ? (int)line : __LINE__, APLOG_MODULE_INDEX,
                   level & APLOG_LEVELMASK, 0, r, "%.*s", (int)length, text);
}

static shim_text server_name(void *r_)
{
    const request_rec *r = r_;
    return wsgid_text(r->server->server_hostname ? r->server->server_hostname : "");
}

/*
 * As httpd has it, but a port that only the client claims, in its Host header, counts as the one it came
 * to: each other port would be an application group of its own.
 */
static uint16_t port(void *r_)
{
    const request_rec *r = r_;
    apr_port_t known = ap_get_server_port(r), local = r->connection->local_addr->port;

    return known == 80 || known == 443 || known == r->server->port ? known : local;
}

static shim_text host(void *r_)
{
    const request_rec *r = r_;
    return r->hostname && *r->hostname ? wsgid_text(r->hostname) : server_name(r_);
}

static shim_text script_name(void *r)
{
    return wsgid_text(wsgid_request_of(r)->script_name);
}

static shim_text variable(void *r_, const char *name)
{
    const request_rec *r = r_;
    const char *value = apr_table_get(r->notes, name);

    if (!value)
        value = apr_table_get(r->subprocess_env, name);
    return wsgid_text(value ? value : getenv(name));
}

const shim_door wsgid_door = {
    .read_body = wsgid_read_body,
    .set_status = set_status,
    .add_header = add_header,
    .diverts = diverts,
    .divert = divert,
    .client_timeout = client_timeout,
    .append = append,
    .append_file = append_file,
    .pass = pass,
    .finish = finish,
    .truncate = truncate_,
    .retry_after = retry_after,
    .is_https = wsgid_is_https,
    .ssl_variable = wsgid_ssl_variable,
    .scores = &wsgid_scores,
    .note = note,
    .log = log_,
    .trusts = wsgid_trusts,
    .server_name = server_name,
    .port = port,
    .host = host,
    .script_name = script_name,
    .variable = variable,
};
