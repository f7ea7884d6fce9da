/* Configuration of servers and directories. A request looks at its alias or handler, then its directory,
 * then its server, then the default. */
#include "wsgid.h"

const wsgid_settings wsgid_defaults = {
    "%{GLOBAL}", "%{RESOURCE}", "application", .pass_authorization = 0, .reloading = 1,
    .ignore_activity = 0, .chunked = 0, .map_head = WSGID_MAP_AUTO, .error_override = 0, .sendfile = 0
};

static void unset(wsgid_settings *settings)
{
    settings->pass_authorization = WSGID_UNSET;
    settings->reloading = WSGID_UNSET;
    settings->ignore_activity = WSGID_UNSET;
    settings->chunked = WSGID_UNSET;
    settings->map_head = WSGID_UNSET;
    settings->error_override = WSGID_UNSET;
    settings->sendfile = WSGID_UNSET;
}

static const char *first(const char *one, const char *other)
{
    return one ? one : other;
}

static int first_set(int one, int other)
{
    return one != WSGID_UNSET ? one : other;
}

/* What `child` says, and for the rest what `base` says. */
static wsgid_settings merge(const wsgid_settings *base, const wsgid_settings *child)
{
    wsgid_settings merged = {
        .process_group = first(child->process_group, base->process_group),
        .application_group = first(child->application_group, base->application_group),
        .callable = first(child->callable, base->callable),
        .pass_authorization = first_set(child->pass_authorization, base->pass_authorization),
        .reloading = first_set(child->reloading, base->reloading),
        .ignore_activity = first_set(child->ignore_activity, base->ignore_activity),
        .chunked = first_set(child->chunked, base->chunked),
        .map_head = first_set(child->map_head, base->map_head),
        .error_override = first_set(child->error_override, base->error_override),
        .sendfile = first_set(child->sendfile, base->sendfile),
        .allowed_groups = child->allowed_groups ? child->allowed_groups : base->allowed_groups,
        .dispatch = child->dispatch ? child->dispatch : base->dispatch,
        .trusted_headers = child->trusted_headers ? child->trusted_headers : base->trusted_headers,
        .trusted_proxies = child->trusted_proxies ? child->trusted_proxies : base->trusted_proxies,
    };
    return merged;
}

/* Each handler as `child` has it, or else `base`. */
static apr_hash_t *merge_handlers(apr_pool_t *p, apr_hash_t *base, apr_hash_t *child)
{
    if (!base || !child)
        return child ? child : base;
    return apr_hash_overlay(p, child, base);
}

void *wsgid_create_server(apr_pool_t *p, server_rec *s)
{
    wsgid_server_config *config = apr_pcalloc(p, sizeof(*config));
    unset(&config->settings);
    config->restrict_embedded = WSGID_UNSET;
    config->aliases = apr_array_make(p, 2, sizeof(wsgid_alias));
    return config;
}

void *wsgid_merge_server(apr_pool_t *p, void *base_, void *child_)
{
    const wsgid_server_config *base = base_, *child = child_;
    wsgid_server_config *merged = apr_pcalloc(p, sizeof(*merged));
    merged->settings = merge(&base->settings, &child->settings);
    merged->handlers = merge_handlers(p, base->handlers, child->handlers);
    merged->restrict_embedded = first_set(child->restrict_embedded, base->restrict_embedded);
    /* The virtual host's own aliases are tried first. */
    merged->aliases = apr_array_append(p, child->aliases, base->aliases);
    return merged;
}

void *wsgid_create_dir(apr_pool_t *p, char *dir)
{
    wsgid_dir_config *config = apr_pcalloc(p, sizeof(*config));
    unset(&config->settings);
    return config;
}

void *wsgid_merge_dir(apr_pool_t *p, void *base_, void *child_)
{
    const wsgid_dir_config *base = base_, *child = child_;
    wsgid_dir_config *merged = apr_pcalloc(p, sizeof(*merged));
    merged->settings = merge(&base->settings, &child->settings);
    merged->handlers = merge_handlers(p, base->handlers, child->handlers);
    merged->access = child->access ? child->access : base->access;
    merged->auth_user = child->auth_user ? child->auth_user : base->auth_user;
    merged->auth_group = child->auth_group ? child->auth_group : base->auth_group;
    return merged;
}

static wsgid_settings of_route(const wsgid_route *route)
{
    wsgid_settings settings = { 0 };
    unset(&settings);
    if (route) {
        settings.process_group = route->process_group;
        settings.application_group = route->application_group;
        settings.callable = route->callable;
        settings.pass_authorization = route->pass_authorization;
    }
    return settings;
}

/* `route` is the way by which the request came, NULL if that has nothing to say. */
wsgid_settings wsgid_settings_of(request_rec *r, const wsgid_route *route)
{
    const wsgid_server_config *server = ap_get_module_config(r->server->module_config, &wsgi_module);
    const wsgid_dir_config *dir = ap_get_module_config(r->per_dir_config, &wsgi_module);
    wsgid_settings own = of_route(route);
    wsgid_settings settings = merge(&wsgid_defaults, &server->settings);

    settings = merge(&settings, &dir->settings);
    return merge(&settings, &own);
}
