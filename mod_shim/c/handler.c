/* The handler: is this a request of ours, may it be served, and what is known about it. */
#include "wsgid.h"
#include "util_script.h"

wsgid_request *wsgid_request_of(request_rec *r)
{
    wsgid_request *request = ap_get_module_config(r->request_config, &wsgi_module);

    if (!request) {
        request = apr_pcalloc(r->pool, sizeof(*request));
        ap_set_module_config(r->request_config, &wsgi_module, request);
    }
    return request;
}

static int runs_file(const request_rec *r)
{
    return strcmp(r->handler, WSGID_HANDLER) == 0 || strcmp(r->handler, "application/x-httpd-wsgi") == 0;
}

static int refuse(request_rec *r, shim_refusal why, const char *words)
{
    return wsgid_rust()->refuse(r, &wsgid_door, why, apr_psprintf(r->pool, "%s: %s", words, r->filename));
}

/* May this file be run for this URL? */
static int check_script(request_rec *r)
{
    const char *forced = apr_table_get(r->notes, "alias-forced-type");

    if (!(forced && strcmp(forced, WSGID_HANDLER) == 0) && !(ap_allow_options(r) & OPT_EXECCGI))
        return refuse(r, SHIM_EXEC_CGI_OFF, "Options ExecCGI is off in this directory");
    if (r->finfo.filetype == APR_NOFILE)
        return refuse(r, SHIM_NO_SCRIPT, "Target WSGI script not found or unable to stat");
    if (r->finfo.filetype == APR_DIR)
        return refuse(r, SHIM_DIRECTORY, "Attempt to invoke directory as WSGI application");
    return OK;
}

static int check_path_info(request_rec *r)
{
    if (r->used_path_info == AP_REQ_REJECT_PATH_INFO && r->path_info && *r->path_info)
        return refuse(r, SHIM_PATH_INFO, "AcceptPathInfo off disallows user's path");
    return OK;
}

static int64_t content_length(request_rec *r)
{
    apr_off_t length;
    const char *text = apr_table_get(r->headers_in, "Content-Length");

    if (!ap_should_client_block(r) && !r->read_chunked)
        return 0;
    return !r->read_chunked && text && ap_parse_strict_length(&length, text) ? (int64_t)length : -1;
}

/* May this body be read? httpd itself sees that a chunked one does not grow over the limit. */
static int check_body(request_rec *r, const wsgid_settings *settings)
{
    apr_off_t limit = ap_get_limit_req_body(r);

    switch (ap_setup_client_block(r, settings->chunked ? REQUEST_CHUNKED_DECHUNK : REQUEST_CHUNKED_ERROR)) {
    case OK:
        break;
    case HTTP_LENGTH_REQUIRED:
        return refuse(r, SHIM_CHUNKED, "A chunked request body is refused: WSGIChunkedRequest On would let it pass");
    case HTTP_NOT_IMPLEMENTED:
        return refuse(r, SHIM_TRANSFER_CODING, "A Transfer-Encoding other than chunked is refused");
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return refuse(r, SHIM_BODY_TOO_LARGE, "The request's body is larger than LimitRequestBody allows");
    default:
        return refuse(r, SHIM_CONTENT_LENGTH, "A Content-Length that is no number is refused");
    }
    if (limit > 0 && content_length(r) > limit)
        return refuse(r, SHIM_BODY_TOO_LARGE, "The request's body is larger than LimitRequestBody allows");
    return OK;
}

static const char *script_name_of(request_rec *r)
{
    char *name = apr_pstrdup(r->pool, r->uri);

    if (r->path_info && *r->path_info)
        name[ap_find_path_info(name, r->path_info)] = '\0';
    ap_no2slash(name);
    return name;
}

/* `handler` is the script that answers for a handler, NULL where it is the file that was found. */
static int serve(request_rec *r, const wsgid_settings *settings, const wsgid_route *route,
                 const wsgid_script *handler)
{
    wsgid_request *request = wsgid_request_of(r);
    const wsgid_server_config *server = ap_get_module_config(r->server->module_config, &wsgi_module);
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    apr_array_header_t *variables, *headers;
    shim_ask ask = { .r = r, .door = &wsgid_door };
    int status;

    request->script_name = script_name_of(r);
    request->settings = settings;
    request->input = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    request->output = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    variables = wsgid_variables(r, request);
    headers = wsgid_headers(r);
    ask.variables = (const shim_pair *)variables->elts;
    ask.variable_count = variables->nelts;
    ask.headers = (const shim_pair *)headers->elts;
    ask.header_count = headers->nelts;
    ask.script = wsgid_text(handler ? handler->path : r->filename);
    ask.process_group = wsgid_text(settings->process_group);
    ask.application_group = wsgid_text(settings->application_group);
    ask.callable = wsgid_text(settings->callable);
    /* An alias names its callable literally, as in mod_wsgi. */
    ask.expand_callable = !(route && route->callable);
    ask.handler = wsgid_text(r->handler);
    ask.content_length = content_length(r);
    request->has_body = ask.content_length != 0;
    ask.request_time = r->request_time;
    ask.script_written = !handler && r->finfo.valid & APR_FINFO_MTIME ? r->finfo.mtime : 0;
    ask.timeout = (uint32_t)apr_time_sec(r->server->timeout);
    if (settings->allowed_groups) {
        ask.allowed_groups = (const shim_text *)settings->allowed_groups->elts;
        ask.allowed_group_count = settings->allowed_groups->nelts;
        ask.restricts_groups = 1;
    }
    if (settings->trusted_headers) {
        ask.trusted_headers = (const shim_text *)settings->trusted_headers->elts;
        ask.trusted_header_count = settings->trusted_headers->nelts;
        ask.trusted_peer = wsgid_trusts_peer(r, settings);
        ask.knows_proxies = settings->trusted_proxies != NULL;
    }
    ask.pass_authorization = settings->pass_authorization || core->cgi_pass_auth == AP_CGI_PASS_AUTH_ON;
    ask.reloading = settings->reloading;
    ask.ignore_activity = settings->ignore_activity;
    ask.restrict_embedded = server->restrict_embedded == 1;
    if (settings->dispatch && (status = wsgid_dispatch(settings->dispatch, &ask)) != OK)
        return status;
    wsgid_occupy(1);
    status = wsgid_rust()->serve(wsgid_runtime, &ask);
    wsgid_occupy(0);
    return status;
}

int wsgid_handler(request_rec *r)
{
    const wsgid_script *handler = NULL;
    const wsgid_route *route = NULL;
    const wsgid_alias *alias;
    wsgid_settings settings;
    int status;

    if (!r->handler)
        return DECLINED;
    if (runs_file(r)) {
        if ((alias = wsgid_alias_of(r)))
            route = &alias->route;
        if ((status = check_script(r)) != OK)
            return status;
    }
    else if ((handler = wsgid_handler_of(r))) {
        route = &handler->route;
    }
    else {
        return DECLINED;
    }
    settings = wsgid_settings_of(r, route);
    if ((status = check_path_info(r)) != OK || (status = check_body(r, &settings)) != OK)
        return status;
    if (!wsgid_runtime)
        return refuse(r, SHIM_NO_CONFIGURATION, "The module has no configuration; see the log of httpd's start");
    return serve(r, &settings, route, handler);
}
