/* Reading what the client sends, through the input filters: the body may come inflated or decrypted. */
#include "wsgid.h"

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

shim_body wsgid_read_body(void *r_, int wait, char *buffer, size_t room, size_t *length, int *answer)
{
    request_rec *r = r_;
    wsgid_request *request = wsgid_request_of(r);
    apr_bucket_brigade *bb = request->input;
    apr_read_type_e how = wait ? APR_BLOCK_READ : APR_NONBLOCK_READ;
    apr_status_t status;

    *length = 0;
    while (!request->body_ended && *length == 0) {
        status = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, how, (apr_off_t)room);
        /* Both are how a filter says that there is nothing yet. */
        if (!wait && (APR_STATUS_IS_EAGAIN(status) || (status == APR_SUCCESS && APR_BRIGADE_EMPTY(bb))))
            return SHIM_BODY_MORE;
        /* An empty brigade is how a filter without more data says that the client is gone. */
        if (status == APR_SUCCESS && APR_BRIGADE_EMPTY(bb))
            status = APR_EOF;
        if (status == APR_SUCCESS)
            status = drain(bb, buffer, room, length, &request->body_ended);
        apr_brigade_cleanup(bb);
        if (status != APR_SUCCESS) {
            ap_log_rerror(APLOG_MARK, APLOG_INFO, status, r, "The request's body could not be read");
            /* 408 for a silent client, 413 for too much, and what a filter has answered stays answered. */
            *answer = ap_map_http_request_error(status, HTTP_BAD_REQUEST);
            return *answer == HTTP_BAD_REQUEST ? SHIM_BODY_TORN : SHIM_BODY_FAILED;
        }
    }
    return request->body_ended ? SHIM_BODY_LAST : SHIM_BODY_MORE;
}
