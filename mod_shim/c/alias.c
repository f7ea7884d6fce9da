/* WSGIScriptAlias and WSGIScriptAliasMatch: reading them, and mapping a URL to a script with them. */
#include "wsgid.h"

static int is_directory(apr_pool_t *p, const char *path)
{
    apr_finfo_t info;
    return apr_stat(&info, path, APR_FINFO_TYPE, p) == APR_SUCCESS && info.filetype == APR_DIR;
}

/* Both groups are known before any request, and the target is a script: it is imported when workers start. */
int wsgid_is_preloaded(apr_pool_t *p, const wsgid_alias *alias, const char *process, const char *application)
{
    return process && application && !wsgid_rust()->is_dynamic(process) && !wsgid_rust()->is_dynamic(application)
        && !(alias->pattern && strchr(alias->target, '$')) && !is_directory(p, alias->target);
}

/* `first` is for a script that no line of the configuration wants imported: then one for its group is enough. */
void wsgid_preload(const char *process, const char *application, const char *script, int first)
{
    wsgid_rust()->draft_preload(wsgid_global.draft, wsgid_global_to_empty(process),
                                wsgid_global_to_empty(application), script, first);
}

const char *wsgid_add_alias(cmd_parms *cmd, const char *args, int is_match)
{
    wsgid_server_config *config = ap_get_module_config(cmd->server->module_config, &wsgi_module);
    wsgid_alias *alias = apr_pcalloc(cmd->pool, sizeof(*alias));
    const wsgid_route *route = &alias->route;
    const char *complaint;

    alias->location = ap_getword_conf(cmd->pool, &args);
    alias->target = ap_getword_conf(cmd->pool, &args);
    if (!*alias->location || !*alias->target)
        return apr_psprintf(cmd->pool, "%s takes a URL path and the path of a script or directory.",
                            cmd->cmd->name);
    if (is_match && !(alias->pattern = ap_pregcomp(cmd->pool, alias->location, AP_REG_EXTENDED)))
        return apr_psprintf(cmd->pool, "Regular expression '%s' could not be compiled.", alias->location);
    if ((complaint = wsgid_route_options(cmd, args, "WSGI script alias",
                                         WSGID_WITH_CALLABLE | WSGID_WITH_AUTHORIZATION, &alias->route)))
        return complaint;
    if (!is_match && !(alias->target = ap_server_root_relative(cmd->pool, alias->target)))
        return "The path of the script is not valid.";
    if (wsgid_is_preloaded(cmd->temp_pool, alias, route->process_group, route->application_group)) {
        if ((complaint = wsgid_group_complaint(cmd, wsgid_global_to_empty(route->process_group))))
            return complaint;
        wsgid_preload(route->process_group, route->application_group, alias->target, 0);
    }
    *(wsgid_alias *)apr_array_push(config->aliases) = *alias;
    return NULL;
}

/*
 * How much of the URI the alias covers, 0 if it is another's. Runs of slashes count as one, and a
 * match ends at a slash or at the end of the URI, as with mod_alias.
 */
static size_t covers(const char *uri, const char *location)
{
    const char *u = uri, *l = location;

    while (*l) {
        if (*l == '/') {
            if (*u != '/')
                return 0;
            while (*l == '/')
                ++l;
            while (*u == '/')
                ++u;
        }
        else if (*l++ != *u++) {
            return 0;
        }
    }
    if (l[-1] != '/' && *u && *u != '/')
        return 0;
    return u - uri;
}

/* The target for a URI under an alias, and what of the URI is behind it; NULL where the URI is not. */
static const char *map(request_rec *r, const wsgid_alias *alias, const char **rest)
{
    ap_regmatch_t matches[AP_MAX_REG_MATCH];
    const char *target;
    size_t covered;

    if (!alias->pattern) {
        if (!*alias->location || !(covered = covers(r->uri, alias->location)))
            return NULL;
        /* "/" covers nothing but the slash that the rest begins with. */
        *rest = strspn(alias->location, "/") == strlen(alias->location) ? r->uri : r->uri + covered;
        return alias->target;
    }
    if (ap_regexec(alias->pattern, r->uri, AP_MAX_REG_MATCH, matches, 0) != 0)
        return NULL;
    target = ap_pregsub(r->pool, alias->target, r->uri, AP_MAX_REG_MATCH, matches);
    *rest = r->uri + matches[0].rm_eo;
    return target ? ap_server_root_relative(r->pool, target) : NULL;
}

/*
 * Where the target is a script, httpd is told so, and that the rest is path info: it need not find out
 * by looking at each part of a path that is none. It still looks where links are not to be followed.
 */
static void name_file(request_rec *r, const char *target, const char *rest)
{
    apr_finfo_t finfo;

    if ((*rest == '/' || !*rest) && apr_stat(&finfo, target, APR_FINFO_MIN, r->pool) == APR_SUCCESS
        && finfo.filetype == APR_REG) {
        r->filename = apr_pstrdup(r->pool, target);
        r->path_info = apr_pstrdup(r->pool, rest);
        r->finfo = finfo;
    }
    else {
        r->filename = apr_pstrcat(r->pool, target, rest, NULL);
    }
}

/*
 * Which alias mapped a request is kept as a note, by its place in the list: notes survive httpd's fast
 * internal redirects (DirectoryIndex, for one), where a module's own configuration of the request does
 * not.
 */
#define ALIAS_NOTE "mod_wsgi.x-alias"

const wsgid_alias *wsgid_alias_of(request_rec *r)
{
    const wsgid_server_config *config = ap_get_module_config(r->server->module_config, &wsgi_module);
    const char *place = apr_table_get(r->notes, ALIAS_NOTE);
    int i = place ? atoi(place) : -1;

    return i >= 0 && i < config->aliases->nelts ? &APR_ARRAY_IDX(config->aliases, i, wsgid_alias) : NULL;
}

int wsgid_translate(request_rec *r)
{
    const wsgid_server_config *config = ap_get_module_config(r->server->module_config, &wsgi_module);
    const wsgid_alias *aliases = (const wsgid_alias *)config->aliases->elts;
    int i;

    if (r->uri[0] != '/')
        return DECLINED;
    for (i = 0; i < config->aliases->nelts; ++i) {
        const char *rest, *target = map(r, &aliases[i], &rest);
        if (!target)
            continue;
        name_file(r, target, rest);
        r->handler = WSGID_HANDLER;
        /* Says that the handler came from an alias: ExecCGI is not asked for. */
        apr_table_setn(r->notes, "alias-forced-type", WSGID_HANDLER);
        apr_table_setn(r->notes, ALIAS_NOTE, apr_itoa(r->pool, i));
        return OK;
    }
    return DECLINED;
}
