/*
 * The variables of a request, as name and value pairs in order: what comes later wins. Which of them
 * an application may see, and how headers become HTTP_ variables, is decided in Rust.
 */
#include "wsgid.h"
#include "http_core.h"
#include "util_filter.h"
#include "util_script.h"

static void add(apr_array_header_t *list, const char *name, const char *value)
{
    shim_pair *pair = apr_array_push(list);
    pair->name = wsgid_text(name);
    pair->value = wsgid_text(value ? value : "");
}

static void add_if(apr_array_header_t *list, const char *name, const char *value)
{
    if (value)
        add(list, name, value);
}

static void add_table(apr_array_header_t *list, const apr_table_t *table)
{
    const apr_array_header_t *entries = apr_table_elts(table);
    const apr_table_entry_t *entry = (const apr_table_entry_t *)entries->elts;
    int i;

    for (i = 0; i < entries->nelts; ++i)
        if (entry[i].key)
            add(list, entry[i].key, entry[i].val);
}

/* The request line's target as it was sent; with CGIVar REQUEST_URI current-uri, what it has become. */
static const char *request_uri(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *p = r->the_request, *end;
    const char *rule =
        core->cgi_var_rules ? apr_hash_get(core->cgi_var_rules, "REQUEST_URI", APR_HASH_KEY_STRING) : NULL;

    if (rule && strcmp(rule, "current-uri") == 0)
        return r->uri;
    if (!p)
        return r->unparsed_uri ? r->unparsed_uri : r->uri;
    while (*p && !apr_isspace(*p))
        ++p;
    while (apr_isspace(*p))
        ++p;
    for (end = p; *end && !apr_isspace(*end); ++end)
        ;
    return apr_pstrmemdup(r->pool, p, end - p);
}

static void add_connection(request_rec *r, apr_array_header_t *list)
{
    conn_rec *c = r->connection;

    add(list, "SERVER_NAME", ap_escape_html(r->pool, ap_get_server_name_for_url(r)));
    add(list, "SERVER_ADDR", c->local_ip);
    add(list, "SERVER_PORT", apr_itoa(r->pool, ap_get_server_port(r)));
    add(list, "REMOTE_ADDR", r->useragent_ip);
    add(list, "REMOTE_PORT", apr_itoa(r->pool, c->client_addr->port));
    add(list, "mod_wsgi.listener_host", c->local_ip);
    add(list, "mod_wsgi.listener_port", apr_itoa(r->pool, c->local_addr->port));
    add(list, "mod_wsgi.server_pid", apr_itoa(r->pool, (int)getpid()));
    /* httpd makes its ids when it first logs them. */
    if (!r->log_id)
        ap_run_generate_log_id(c, r, &r->log_id);
    if (!c->log_id)
        ap_run_generate_log_id(c, NULL, &c->log_id);
    add_if(list, "mod_wsgi.request_id", r->log_id);
    add_if(list, "mod_wsgi.connection_id", c->log_id);
}

/* Where a redirect came from; whole where QualifyRedirectURL says so. */
static const char *redirect_url(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    apr_uri_t uri;

    if (core->qualify_redirect_url != AP_CORE_CONFIG_ON)
        return r->prev->uri;
    uri = r->prev->parsed_uri;
    if (!uri.scheme)
        uri.scheme = (char *)ap_http_scheme(r->prev);
    if (!uri.hostname)
        uri.hostname = (char *)ap_get_server_name_for_url(r->prev);
    if (!uri.port) {
        uri.port = ap_get_server_port(r->prev);
        uri.port_str = apr_itoa(r->pool, uri.port);
    }
    return apr_uri_unparse(r->pool, &uri, 0);
}

static void add_redirect(request_rec *r, apr_array_header_t *list)
{
    const request_rec *last = r->prev;

    if (!last)
        return;
    add_if(list, "REDIRECT_QUERY_STRING", last->args);
    add_if(list, "REDIRECT_URL", redirect_url(r));
    if (r->user)
        return;
    while (last && !last->user)
        last = last->prev;
    if (last)
        add(list, "REDIRECT_REMOTE_USER", last->user);
}

/*
 * What the application is told. Where a filter will look at the body, the response to HEAD is to be like
 * the one to GET, and only httpd knows that it is not sent.
 */
static const char *method_of(const request_rec *r, const wsgid_settings *settings)
{
    int filtered = r->output_filters->frec->ftype < AP_FTYPE_PROTOCOL;

    if (!r->header_only || r->method_number != M_GET || settings->map_head == WSGID_MAP_OFF)
        return r->method;
    return settings->map_head == WSGID_MAP_ON || filtered ? "GET" : r->method;
}

apr_array_header_t *wsgid_variables(request_rec *r, const wsgid_request *request)
{
    apr_array_header_t *list = apr_array_make(r->pool, 64, sizeof(shim_pair));
    char *path_info = apr_pstrdup(r->pool, r->path_info ? r->path_info : "");

    add_table(list, r->subprocess_env);
    add(list, "SERVER_SOFTWARE", ap_get_server_banner());
    add(list, "SERVER_PROTOCOL", r->protocol);
    add_if(list, "SERVER_ADMIN", r->server->server_admin);
    add_connection(r, list);
    add(list, "DOCUMENT_ROOT", ap_document_root(r));
    add(list, "CONTEXT_PREFIX", ap_context_prefix(r));
    add(list, "CONTEXT_DOCUMENT_ROOT", ap_context_document_root(r));
    add(list, "REQUEST_SCHEME", ap_http_scheme(r));
    add(list, "REQUEST_METHOD", method_of(r, request->settings));
    add(list, "REQUEST_URI", request_uri(r));
    add(list, "QUERY_STRING", r->args);
    ap_no2slash(path_info);
    add(list, "SCRIPT_NAME", request->script_name);
    add(list, "PATH_INFO", path_info);
    add(list, "SCRIPT_FILENAME", r->filename);
    add_if(list, "REMOTE_USER", r->user);
    add_if(list, "AUTH_TYPE", r->ap_auth_type);
    add_redirect(r, list);
    return list;
}

/* Where a path in the script begins, as far as httpd knows before it has run anything. */
static void add_path(request_rec *r, apr_array_header_t *list)
{
    const char *rest = r->path_info && *r->path_info ? r->path_info : "";
    int included = strcmp(r->protocol, "INCLUDED") == 0;
    size_t length = *rest && !included ? (size_t)ap_find_path_info(r->uri, rest) : strlen(r->uri);

    add(list, "SCRIPT_NAME", apr_pstrmemdup(r->pool, r->uri, length));
    add(list, "PATH_INFO", rest);
}

/*
 * What a script of access control is told, which is less: it is asked while httpd is still about to find out
 * what the request is for, so there is no subprocess_env to speak of.
 */
apr_array_header_t *wsgid_hook_variables(request_rec *r)
{
    apr_array_header_t *list = apr_array_make(r->pool, 32, sizeof(shim_pair));
    conn_rec *c = r->connection;

    add(list, "SERVER_SIGNATURE", ap_psignature("", r));
    add(list, "SERVER_SOFTWARE", ap_get_server_banner());
    add(list, "SERVER_NAME", ap_escape_html(r->pool, ap_get_server_name(r)));
    add(list, "SERVER_ADDR", c->local_ip);
    add(list, "SERVER_PORT", apr_itoa(r->pool, ap_get_server_port(r)));
    add_if(list, "REMOTE_HOST", ap_get_useragent_host(r, REMOTE_HOST, NULL));
    add(list, "REMOTE_ADDR", r->useragent_ip);
    add(list, "REMOTE_PORT", apr_itoa(r->pool, r->useragent_addr->port));
    add(list, "DOCUMENT_ROOT", ap_document_root(r));
    add_if(list, "SERVER_ADMIN", r->server->server_admin);
    add(list, "SERVER_PROTOCOL", r->protocol);
    add(list, "REQUEST_METHOD", r->method);
    add(list, "QUERY_STRING", r->args);
    add(list, "REQUEST_URI", request_uri(r));
    add_path(r, list);
    return list;
}

apr_array_header_t *wsgid_headers(request_rec *r)
{
    apr_array_header_t *list = apr_array_make(r->pool, 32, sizeof(shim_pair));
    add_table(list, r->headers_in);
    return list;
}
