/* Reading what the client sends, through the input filters: the body may come inflated or decrypted. */
#include "wsgid.h"

/*
 * So much is asked of the filters at a time. httpd reads in buckets of 8 KB, and what it needs for those that are there
 * together stays with the connection's allocator when they are gone.
 */
#define PIECE ((size_t)64 * 1024)

/*
 * A filter that is to wait may have nothing all the same: what mod_deflate has just read may have been a header. One
 * that has nothing so often never will.
 */
#define EMPTY_READS 1000

/* Copies the data buckets of the brigade; `*ended` is set when the end of the body is among them. */
static apr_status_t drain(apr_bucket_brigade *bb, char *buffer, size_t room, size_t *length, int *ended)
{
    apr_bucket *bucket;

    for (bucket = APR_BRIGADE_FIRST(bb); bucket != APR_BRIGADE_SENTINEL(bb); bucket = APR_BUCKET_NEXT(bucket)) {
        const char *data;
        apr_size_t size;
        apr_status_t status;

        if (APR_BUCKET_IS_EOS(bucket)) {
            *ended = 1;
            return APR_SUCCESS;
        }
        if (APR_BUCKET_IS_METADATA(bucket))
            continue;
        if ((status = apr_bucket_read(bucket, &data, &size, APR_BLOCK_READ)) != APR_SUCCESS)
            return status;
        /* A filter handed out more than it was asked for: refuse rather than lose bytes. */
        if (size > room - *length)
            return APR_EGENERAL;
        memcpy(buffer + *length, data, size);
        *length += size;
    }
    return APR_SUCCESS;
}

/* Reads one piece at most; with `wait`, waits for its first byte. True: more may be had at once. */
static int read_piece(request_rec *r, int wait, char *buffer, size_t room, size_t *length)
{
    wsgid_request *request = wsgid_request_of(r);
    apr_bucket_brigade *bb = request->input;
    size_t before = *length, most = room - before < PIECE ? room - before : PIECE;
    apr_status_t status;
    int tries = EMPTY_READS;

    do
        status = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, wait ? APR_BLOCK_READ : APR_NONBLOCK_READ,
                                (apr_off_t)most);
    while (wait && status == APR_SUCCESS && APR_BRIGADE_EMPTY(bb) && !r->eos_sent && --tries > 0);
    /* A filter has answered the client in our place. Where a response has begun, it makes as if the body had ended. */
    if (r->eos_sent)
        status = AP_FILTER_ERROR;
    /* Both are how a filter says that there is nothing yet. */
    if (!wait && (APR_STATUS_IS_EAGAIN(status) || (status == APR_SUCCESS && APR_BRIGADE_EMPTY(bb))))
        return 0;
    /* It has nothing at all, and does not say why: the client is gone. */
    if (status == APR_SUCCESS && APR_BRIGADE_EMPTY(bb))
        status = APR_EOF;
    if (status == APR_SUCCESS)
        status = drain(bb, buffer, room, length, &request->body_ended);
    apr_brigade_cleanup(bb);
    if (status != APR_SUCCESS)
        ap_log_rerror(APLOG_MARK, APLOG_INFO, status, r, "The request's body could not be read");
    request->body_status = status;
    return status == APR_SUCCESS && !request->body_ended && (*length == 0 || *length - before >= most);
}

shim_body wsgid_read_body(void *r_, int wait, char *buffer, size_t room, size_t *length, int *answer)
{
    request_rec *r = r_;
    wsgid_request *request = wsgid_request_of(r);
    int more = !request->body_ended && request->body_status == APR_SUCCESS;

    *length = 0;
    while (more && *length < room)
        more = read_piece(r, wait && *length == 0, buffer, room, length);
    /* What came before the trouble is told first; not to a client that has its answer, or it would get two. */
    if (request->body_status == AP_FILTER_ERROR || (request->body_status != APR_SUCCESS && *length == 0)) {
        *length = 0;
        /* 408 for a silent client, 413 for too much, and what a filter has answered stays answered. */
        *answer = ap_map_http_request_error(request->body_status, HTTP_BAD_REQUEST);
        return *answer == HTTP_BAD_REQUEST ? SHIM_BODY_TORN : SHIM_BODY_FAILED;
    }
    return request->body_ended ? SHIM_BODY_LAST : SHIM_BODY_MORE;
}
