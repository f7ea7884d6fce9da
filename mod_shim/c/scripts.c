/*
 * Scripts that no URL is mapped to: those that answer for a handler (WSGIHandlerScript), and those that are
 * imported when workers start (WSGIImportScript).
 */
#include "wsgid.h"

/* The function of a handler script. */
#define HANDLER_CALLABLE "handle_request"

const char *wsgid_add_handler(cmd_parms *cmd, void *dir, const char *args)
{
    wsgid_server_config *server = ap_get_module_config(cmd->server->module_config, &wsgi_module);
    apr_hash_t **handlers = cmd->path ? &((wsgid_dir_config *)dir)->handlers : &server->handlers;
    wsgid_script *script = apr_pcalloc(cmd->pool, sizeof(*script));
    const char *name = ap_getword_conf(cmd->pool, &args);
    const char *path = ap_getword_conf(cmd->pool, &args);
    const char *complaint;

    if (!*name || !*path)
        return "WSGIHandlerScript takes the name of a handler and the path of a script.";
    if ((complaint = wsgid_route_options(cmd, args, "WSGI handler script", WSGID_WITH_AUTHORIZATION, &script->route)))
        return complaint;
    if (!(script->path = ap_server_root_relative(cmd->pool, path)))
        return "The path of the script is not valid.";
    script->route.callable = HANDLER_CALLABLE;
    if (!*handlers)
        *handlers = apr_hash_make(cmd->pool);
    apr_hash_set(*handlers, name, APR_HASH_KEY_STRING, script);
    return NULL;
}

static const wsgid_script *look_up(apr_hash_t *handlers, const char *name)
{
    return handlers ? apr_hash_get(handlers, name, APR_HASH_KEY_STRING) : NULL;
}

/* The script that answers for the request's handler; NULL if none does. */
const wsgid_script *wsgid_handler_of(const request_rec *r)
{
    const wsgid_dir_config *dir = ap_get_module_config(r->per_dir_config, &wsgi_module);
    const wsgid_server_config *server = ap_get_module_config(r->server->module_config, &wsgi_module);
    const wsgid_script *script = look_up(dir->handlers, r->handler);

    return script ? script : look_up(server->handlers, r->handler);
}

const char *wsgid_add_import(cmd_parms *cmd, void *dir, const char *args)
{
    const char *path = ap_getword_conf(cmd->pool, &args);
    wsgid_route route = { NULL };
    const char *complaint;

    if (!*path)
        return "WSGIImportScript takes the path of a script, process-group= and application-group=.";
    if ((complaint = wsgid_route_options(cmd, args, "WSGI import script", 0, &route)))
        return complaint;
    if (!route.application_group)
        return "Name of WSGI application group required: WSGIImportScript takes application-group=.";
    if (!route.process_group)
        return "Name of WSGI process group required: WSGIImportScript takes process-group=.";
    if (wsgid_rust()->is_dynamic(route.process_group) || wsgid_rust()->is_dynamic(route.application_group))
        return "WSGIImportScript takes names of groups, and %{GLOBAL}: there is no request to expand others for.";
    if ((complaint = wsgid_group_complaint(cmd, wsgid_global_to_empty(route.process_group))))
        return complaint;
    if (!(path = ap_server_root_relative(cmd->pool, path)))
        return "The path of the script is not valid.";
    wsgid_preload(route.process_group, route.application_group, path, 0);
    return NULL;
}
