/* The options that say where an application runs, for all directives that lead to one. */
#include "wsgid.h"

const char *wsgid_global_to_empty(const char *name)
{
    return strcmp(name, "%{GLOBAL}") == 0 ? "" : name;
}

static const char *set_flag(const char *value, int *flag)
{
    if (strcasecmp(value, "on") == 0)
        *flag = 1;
    else if (strcasecmp(value, "off") == 0)
        *flag = 0;
    else
        return "must be On or Off";
    return NULL;
}

static const char *set_option(apr_pool_t *p, const char *what, int with, wsgid_route *route, const char *key,
                              const char *value)
{
    const char *complaint = NULL;

    if (strcmp(key, "process-group") == 0)
        route->process_group = value;
    else if (strcmp(key, "application-group") == 0)
        route->application_group = value;
    else if (with & WSGID_WITH_CALLABLE && strcmp(key, "callable-object") == 0)
        route->callable = value;
    else if (with & WSGID_WITH_AUTHORIZATION && strcmp(key, "pass-authorization") == 0)
        complaint = set_flag(value, &route->pass_authorization);
    else
        return apr_psprintf(p, "Invalid option '%s' to %s definition.", key, what);
    if (!complaint && !*value)
        complaint = "must not be empty";
    return complaint ? apr_psprintf(p, "Option '%s' of %s %s.", key, what, complaint) : NULL;
}

/* Reads what is left of a directive that defines `what`. Returns a complaint, or NULL. */
const char *wsgid_route_options(cmd_parms *cmd, const char *args, const char *what, int with, wsgid_route *route)
{
    const char *key, *value, *complaint;

    route->pass_authorization = WSGID_UNSET;
    while (!(complaint = wsgid_option(cmd->pool, &args, &key, &value)) && key)
        if ((complaint = set_option(cmd->pool, what, with, route, key, value)))
            break;
    return complaint;
}

static const server_rec *owner_of(const char *group)
{
    return apr_hash_get(wsgid_global.bound, group, APR_HASH_KEY_STRING);
}

/*
 * May what stands here name this process group? It has to be declared above, and not within a virtual host
 * of another ServerName. "" is the implicit group, which everybody may.
 */
const char *wsgid_group_complaint(cmd_parms *cmd, const char *group)
{
    const server_rec *owner;
    const char *here = cmd->server->server_hostname;

    if (!*group)
        return NULL;
    if (!wsgid_rust()->draft_knows(wsgid_global.draft, group))
        return apr_psprintf(cmd->pool, "WSGI process group not yet configured: '%s' must be declared by a "
                            "WSGIDaemonProcess above this line.", group);
    owner = owner_of(group);
    if (!owner || owner == cmd->server)
        return NULL;
    if (!owner->server_hostname || !here)
        return apr_psprintf(cmd->pool, "WSGI process group not matchable: '%s' is declared within another virtual "
                            "host; ServerName must stand above this line, and above the declaration.", group);
    if (strcasecmp(owner->server_hostname, here) != 0)
        return apr_psprintf(cmd->pool, "WSGI process group not accessible: '%s' is declared within the virtual "
                            "host %s.", group, owner->server_hostname);
    return NULL;
}

/* May requests to this server use a group that is declared? For when all directives are read. */
int wsgid_group_is_for(const char *group, const server_rec *s)
{
    const wsgid_server_config *config = ap_get_module_config(s->module_config, &wsgi_module);
    const apr_array_header_t *allowed = config->settings.allowed_groups;
    const server_rec *owner = owner_of(group);
    int i;

    if (owner && owner->server_hostname
        && !(s->server_hostname && strcasecmp(owner->server_hostname, s->server_hostname) == 0))
        return 0;
    if (!allowed)
        return 1;
    for (i = 0; i < allowed->nelts; ++i)
        if (strcmp(APR_ARRAY_IDX(allowed, i, shim_text).data, group) == 0)
            return 1;
    return 0;
}
