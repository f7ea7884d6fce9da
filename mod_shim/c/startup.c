/* What the parent does, and how a child ends. The parent begins a draft, reads directives into it, and
 * tells the daemon; nothing stays open there, so nothing crosses the fork. */
#include "wsgid.h"
#include "http_main.h"
#include "mpm_common.h"
#include "unixd.h"

wsgid_globals wsgid_global;
shim_runtime *wsgid_runtime;

/* The main server once it is read; before that, messages go to the terminal or the log of old. */
static server_rec *main_server;

static void host_log(int level, const char *text, size_t length)
{
    int how = main_server ? 0 : APLOG_STARTUP;
    ap_log_error(APLOG_MARK, (level & APLOG_LEVELMASK) | how, 0, main_server, "%.*s", (int)length, text);
}

const shim_host wsgid_host = { .log = host_log, .scores = &wsgid_scores };

static apr_status_t drop_draft(void *unused)
{
    wsgid_rust()->draft_free(wsgid_global.draft);
    memset(&wsgid_global, 0, sizeof(wsgid_global));
    return APR_SUCCESS;
}

static apr_status_t drop_runtime(void *unused)
{
    wsgid_rust()->runtime_free(wsgid_runtime);
    wsgid_runtime = NULL;
    return APR_SUCCESS;
}

int wsgid_pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    main_server = NULL;
    memset(&wsgid_global, 0, sizeof(wsgid_global));
    wsgid_global.bound = apr_hash_make(pconf);
    wsgid_global.told = apr_hash_make(pconf);
    wsgid_global.draft = wsgid_rust()->draft_new();
    apr_pool_cleanup_register(pconf, NULL, drop_draft, apr_pool_cleanup_null);
    return wsgid_global.draft ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

/* An httpd is told from the others on a host by its process id file. */
static const char *instance(apr_pool_t *p)
{
    const char *file = ap_server_root_relative(p, ap_pid_fname);
    return file ? file : ap_server_root;
}

const char *wsgid_control_socket(void)
{
    return wsgid_global.control_socket ? wsgid_global.control_socket : WSGID_CONTROL_SOCKET;
}

/* An httpd without root serves as whoever started it, whatever User says. */
uid_t wsgid_web_uid(void)
{
    return geteuid() == 0 ? ap_unixd_config.user_id : geteuid();
}

gid_t wsgid_web_gid(void)
{
    return geteuid() == 0 ? ap_unixd_config.group_id : getegid();
}

static uint32_t most(int what)
{
    int number = 0;
    return ap_mpm_query(what, &number) == APR_SUCCESS && number > 0 ? (uint32_t)number : 0;
}

/* What httpd is at run time, which need not be what this was compiled against. */
static void describe_server(shim_facts *facts)
{
    ap_version_t version;
    uint32_t children = most(AP_MPMQ_MAX_DAEMON_USED), threads = most(AP_MPMQ_MAX_THREADS);

    ap_get_server_revision(&version);
    facts->version[0] = version.major;
    facts->version[1] = version.minor;
    facts->version[2] = version.patch;
    facts->description = ap_get_server_description();
    facts->mpm = ap_show_mpm();
    facts->built = ap_get_server_built();
    if (children == 0)
        children = most(AP_MPMQ_MAX_DAEMONS);
    facts->processes = children ? children : 1;
    facts->threads = threads ? threads : 1;
}

static int is_threaded(void)
{
    return most(AP_MPMQ_MAX_THREADS) > 1;
}

/* "The application a group was declared for": groups that the server itself names for its aliases. */
static void preload_server(apr_pool_t *p, const server_rec *s)
{
    const wsgid_server_config *config = ap_get_module_config(s->module_config, &wsgi_module);
    const wsgid_alias *alias = (const wsgid_alias *)config->aliases->elts;
    int i;

    for (i = 0; i < config->aliases->nelts; ++i) {
        const wsgid_route *route = &alias[i].route;
        const char *process = route->process_group ? route->process_group : config->settings.process_group;
        const char *application =
            route->application_group ? route->application_group : config->settings.application_group;

        /* Both stand in the line itself, which has been looked at. */
        if (route->process_group && route->application_group)
            continue;
        /* A group that is not declared, or not for this server, is refused request by request: directories may
         * name another. Nothing of this server's is to run in it until then. */
        if (process && strcmp(process, "%{GLOBAL}") != 0
            && wsgid_is_preloaded(p, &alias[i], process, application)
            && wsgid_rust()->draft_knows(wsgid_global.draft, process) && wsgid_group_is_for(process, s))
            wsgid_preload(process, application, alias[i].target, 1);
    }
}

static void bind_groups(apr_pool_t *p)
{
    apr_hash_index_t *each;

    for (each = apr_hash_first(p, wsgid_global.bound); each; each = apr_hash_next(each)) {
        const server_rec *owner = apr_hash_this_val(each);
        if (owner->server_hostname)
            wsgid_rust()->draft_bind(wsgid_global.draft, apr_hash_this_key(each), owner->server_hostname);
    }
}

int wsgid_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    shim_facts facts = {
        .control_socket = wsgid_control_socket(),
        .instance = instance(ptemp),
        .web_uid = wsgid_web_uid(),
        .web_gid = wsgid_web_gid(),
        .threaded = is_threaded(),
    };
    server_rec *each;

    /* The first of the two readings at start only checks. */
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG)
        return OK;
    main_server = s;
    ap_add_version_component(pconf, WSGID_COMPONENT);
    describe_server(&facts);
    bind_groups(ptemp);
    for (each = s; each; each = each->next)
        preload_server(ptemp, each);
    wsgid_runtime = wsgid_rust()->configure(wsgid_global.draft, &facts, &wsgid_host);
    apr_pool_cleanup_register(pconf, NULL, drop_runtime, apr_pool_cleanup_null);
    wsgid_hasten_restart(pconf);
    return OK;
}

/* httpd calls this about every ten seconds. */
int wsgid_monitor(apr_pool_t *p, server_rec *s)
{
    if (wsgid_runtime)
        wsgid_rust()->remind(wsgid_runtime, &wsgid_host);
    return DECLINED;
}

static apr_status_t leave(void *unused)
{
    wsgid_rust()->leave(wsgid_runtime);
    return APR_SUCCESS;
}

/* A thread of ours must not outlast the code that it runs. */
void wsgid_child_init(apr_pool_t *p, server_rec *s)
{
    wsgid_schedule(s);
    wsgid_allow_staying();
    apr_pool_pre_cleanup_register(p, NULL, leave);
}
