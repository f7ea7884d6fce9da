/*
 * The directives. Those with an effect have a function of their own; those of mod_wsgi that have none
 * here (yet) are accepted with a warning that names them, and stand in a table of their own below.
 */
#include "wsgid.h"

/* The settings of the directory, or of the server where the directive stands outside of any. */
static wsgid_settings *settings_of(cmd_parms *cmd, void *dir)
{
    wsgid_server_config *server = ap_get_module_config(cmd->server->module_config, &wsgi_module);
    return cmd->path ? &((wsgid_dir_config *)dir)->settings : &server->settings;
}

/* The place of a setting, which cmd->info tells as an offset into wsgid_settings. */
static void *setting_of(cmd_parms *cmd, void *dir)
{
    return (char *)settings_of(cmd, dir) + (size_t)cmd->info;
}

static const char *set_text(cmd_parms *cmd, void *dir, const char *value)
{
    *(const char **)setting_of(cmd, dir) = value;
    return NULL;
}

static const char *set_flag(cmd_parms *cmd, void *dir, int on)
{
    *(int *)setting_of(cmd, dir) = on;
    return NULL;
}

/* By wsgid_map_head. */
static const char *const map_head_words[] = { "Off", "On", "Auto" };

static const char *set_map_head(cmd_parms *cmd, void *dir, const char *value)
{
    int each;

    for (each = 0; each < (int)(sizeof(map_head_words) / sizeof(*map_head_words)); ++each) {
        if (strcasecmp(value, map_head_words[each]) == 0) {
            *(int *)setting_of(cmd, dir) = each;
            return NULL;
        }
    }
    return "WSGIMapHEADToGET must be one of: Off | On | Auto";
}

static const char *restrict_process(cmd_parms *cmd, void *dir, const char *args)
{
    apr_array_header_t *groups = apr_array_make(cmd->pool, 2, sizeof(shim_text));

    while (*args) {
        const char *group = ap_getword_conf(cmd->pool, &args);
        if (*group)
            *(shim_text *)apr_array_push(groups) = wsgid_text(wsgid_global_to_empty(group));
    }
    settings_of(cmd, dir)->allowed_groups = groups;
    return NULL;
}

static const char *trust_headers(cmd_parms *cmd, void *dir, const char *args)
{
    return wsgid_trust_headers(cmd, settings_of(cmd, dir), args);
}

static const char *trust_proxies(cmd_parms *cmd, void *dir, const char *args)
{
    return wsgid_trust_proxies(cmd, settings_of(cmd, dir), args);
}

/* A script of access control or dispatch, and its one option. */
static const char *set_hook_script(cmd_parms *cmd, const wsgid_hook_script **place, const char *args)
{
    wsgid_hook_script *script = apr_pcalloc(cmd->pool, sizeof(*script));
    const char *key, *value, *complaint, *path = ap_getword_conf(cmd->pool, &args);

    if (!*path || !(script->path = ap_server_root_relative(cmd->pool, path)))
        return apr_psprintf(cmd->pool, "%s takes the path of a script.", cmd->cmd->name);
    script->application_group = "";
    while (!(complaint = wsgid_option(cmd->pool, &args, &key, &value)) && key) {
        if (strcmp(key, "application-group") != 0)
            return apr_psprintf(cmd->pool, "%s has no option '%s': application-group is the only one.",
                                cmd->cmd->name, key);
        if (!*value)
            return "Invalid name for WSGI application group.";
        script->application_group = value;
    }
    *place = script;
    return complaint;
}

static const char *set_dispatch(cmd_parms *cmd, void *dir, const char *args)
{
    return set_hook_script(cmd, &settings_of(cmd, dir)->dispatch, args);
}

/* One of a directory's own; cmd->info tells which as an offset into wsgid_dir_config. */
static const char *set_dir_script(cmd_parms *cmd, void *dir, const char *args)
{
    return set_hook_script(cmd, (const wsgid_hook_script **)((char *)dir + (size_t)cmd->info), args);
}

static const char *set_restrict_embedded(cmd_parms *cmd, void *dir, int on)
{
    wsgid_server_config *config = ap_get_module_config(cmd->server->module_config, &wsgi_module);
    const char *complaint = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    if (!complaint)
        config->restrict_embedded = on;
    return complaint;
}

static const char *add_alias(cmd_parms *cmd, void *dir, const char *args)
{
    return wsgid_add_alias(cmd, args, 0);
}

static const char *add_alias_match(cmd_parms *cmd, void *dir, const char *args)
{
    return wsgid_add_alias(cmd, args, 1);
}

/* Reads the options of a process group into `list`. */
static const char *read_options(apr_pool_t *p, const char *args, apr_array_header_t *list)
{
    const char *key, *value, *complaint;

    while (!(complaint = wsgid_option(p, &args, &key, &value)) && key) {
        shim_pair *pair = apr_array_push(list);
        pair->name = wsgid_text(key);
        pair->value = wsgid_text(value);
    }
    return complaint;
}

static const char *add_group(cmd_parms *cmd, void *dir, const char *args)
{
    apr_array_header_t *options = apr_array_make(cmd->temp_pool, 8, sizeof(shim_pair));
    const char *name = ap_getword_conf(cmd->pool, &args);
    const char *complaint = read_options(cmd->temp_pool, args, options);
    char message[1024];

    if (!*name)
        return "WSGIDaemonProcess takes the name of the process group and its options.";
    if (complaint)
        return apr_pstrdup(cmd->pool, complaint);
    if (!wsgid_rust()->draft_group(wsgid_global.draft, name, (const shim_pair *)options->elts, options->nelts,
                           wsgid_speaks(), &wsgid_host, message, sizeof(message)))
        return apr_pstrdup(cmd->pool, message);
    if (cmd->server->is_virtual)
        apr_hash_set(wsgid_global.bound, name, APR_HASH_KEY_STRING, cmd->server);
    return NULL;
}

/*
 * What only the main server may set, for process groups that don't: cmd->info names the option of
 * WSGIDaemonProcess that the directive stands for.
 */
static const char *set_option(cmd_parms *cmd, const char *value, int implicit_only)
{
    const char *complaint = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    char message[1024];

    if (!complaint && !wsgid_rust()->draft_option(wsgid_global.draft, cmd->info, value, implicit_only, message,
                                                   sizeof(message)))
        complaint = apr_psprintf(cmd->pool, "%s: %s", cmd->cmd->name, message);
    return complaint;
}

static const char *set_for_all(cmd_parms *cmd, void *dir, const char *value)
{
    return set_option(cmd, value, 0);
}

/* For what was mod_wsgi's embedded mode. */
static const char *set_for_implicit(cmd_parms *cmd, void *dir, const char *value)
{
    return set_option(cmd, value, 1);
}

/* Whether they are for whole groups or not, in a section options are for those that it names. */
static const char *interpreter_options(cmd_parms *cmd, void *dir, const char *args)
{
    const char *complaint = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    const char *end = ap_strrchr_c(args, '>');
    const char *key, *value, *process_group = NULL, *application_group = NULL, **selector;

    if (complaint)
        return complaint;
    if (!end)
        return "<WSGIInterpreterOptions> lacks its closing '>'.";
    args = apr_pstrmemdup(cmd->pool, args, end - args);
    while (!(complaint = wsgid_option(cmd->pool, &args, &key, &value)) && key) {
        if (strcasecmp(key, "process-group") == 0)
            selector = &process_group;
        else if (strcasecmp(key, "application-group") == 0)
            selector = &application_group;
        else
            return apr_psprintf(cmd->pool, "Invalid option '%s' to WSGI interpreter options definition.", key);
        if (*selector)
            return apr_psprintf(cmd->pool, "Option '%s' of WSGI interpreter options is given more than once.", key);
        *selector = wsgid_global_to_empty(value);
    }
    if (complaint)
        return complaint;
    wsgid_rust()->draft_section(wsgid_global.draft, process_group, application_group);
    complaint = ap_walk_config(cmd->directive->first_child, cmd, cmd->server->lookup_defaults);
    wsgid_rust()->draft_section_end(wsgid_global.draft);
    return complaint;
}

static const char *set_control_socket(cmd_parms *cmd, void *dir, const char *value)
{
    const char *complaint = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (complaint)
        return complaint;
    if (!(wsgid_global.control_socket = ap_runtime_dir_relative(cmd->pool, value)))
        return "WSGIDaemonSocket takes the path of the daemon's control socket.";
    return NULL;
}

static const char *set_scheduling(cmd_parms *cmd, void *dir, const char *value)
{
    const char *complaint = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (complaint)
        return complaint;
    wsgid_global.inherit_scheduling = strcasecmp(value, "inherit") == 0;
    if (!wsgid_global.inherit_scheduling && strcasecmp(value, "batch") != 0)
        return "WSGICPUScheduling must be one of: batch | inherit";
    return NULL;
}

static const char *pass_apache_request(cmd_parms *cmd, void *dir, int on)
{
    return on ? "WSGIPassApacheRequest can't be had: Python runs outside of httpd, where there is no "
                "request_rec. Use the WSGI environ."
              : NULL;
}

/* Says why a directive has no effect, the first time that it has none: a configuration may repeat it. */
static void tell(cmd_parms *cmd, const char *why)
{
    if (!wsgid_speaks() || apr_hash_get(wsgid_global.told, cmd->cmd->name, APR_HASH_KEY_STRING))
        return;
    apr_hash_set(wsgid_global.told, cmd->cmd->name, APR_HASH_KEY_STRING, "");
    ap_log_error(APLOG_MARK, APLOG_WARNING | APLOG_STARTUP, 0, NULL, "%s at %s:%d %s.", cmd->cmd->name,
                 cmd->directive->filename, cmd->directive->line_num, why);
}

/* A directive that is accepted without effect, if its arguments are such as mod_wsgi takes; cmd->info is its
 * wsgid_idle. */
static const char *no_effect(cmd_parms *cmd, void *dir, const char *args)
{
    const wsgid_idle *idle = cmd->info;
    const char *complaint = idle->check(cmd, args);

    if (complaint)
        return complaint;
    if (!idle->unless || strcasecmp(ap_getword_conf(cmd->temp_pool, &args), idle->unless) != 0)
        tell(cmd, idle->why);
    return NULL;
}

/* The same for those that only the main server may have. */
static const char *global_no_effect(cmd_parms *cmd, void *dir, const char *args)
{
    const char *complaint = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    return complaint ? complaint : no_effect(cmd, dir, args);
}

/* What is said of a directive that is accepted and changes nothing; NULL for one that does, or may. */
const wsgid_idle *wsgid_idle_of(const command_rec *command)
{
    cmd_func does = command->func;
    return does.raw_args == no_effect || does.raw_args == global_no_effect ? command->cmd_data : NULL;
}

/*
 * What holds where a directive does not stand; "" for those without such a value, and an option's name behind a "="
 * where it is that option's.
 */
const char *wsgid_default_of(apr_pool_t *p, const command_rec *command)
{
    cmd_func does = command->func;
    const char *settings = (const char *)&wsgid_defaults;

    if (does.take1 == set_for_all || does.take1 == set_for_implicit)
        return apr_pstrcat(p, "=", command->cmd_data, NULL);
    if (does.take1 == set_text)
        return *(const char *const *)(settings + (size_t)command->cmd_data);
    if (does.take1 == set_map_head)
        return map_head_words[*(const int *)(settings + (size_t)command->cmd_data)];
    if (does.flag == set_flag)
        return *(const int *)(settings + (size_t)command->cmd_data) ? "On" : "Off";
    if (does.flag == set_restrict_embedded || does.flag == pass_apache_request)
        return "Off";
    if (does.take1 == set_scheduling)
        return "batch";
    return does.take1 == set_control_socket ? WSGID_CONTROL_SOCKET : "";
}

static const char *anything(cmd_parms *cmd, const char *args)
{
    return NULL;
}

/* The only argument; NULL if there is none, or more than one. */
static const char *only_word(cmd_parms *cmd, const char *args)
{
    const char *word = ap_getword_conf(cmd->temp_pool, &args);
    return *word && !*args ? word : NULL;
}

static const char *one_word(cmd_parms *cmd, const char *args)
{
    return only_word(cmd, args) ? NULL : apr_pstrcat(cmd->pool, cmd->cmd->name, " takes one argument", NULL);
}

/* One of `words`, in letters of any case; the list ends with NULL. */
static const char *one_of(cmd_parms *cmd, const char *args, const char *const *words)
{
    const char *word = only_word(cmd, args), *known = NULL;

    for (; *words; ++words) {
        if (word && strcasecmp(word, *words) == 0)
            return NULL;
        known = known ? apr_pstrcat(cmd->temp_pool, known, ", ", *words, NULL) : *words;
    }
    return apr_pstrcat(cmd->pool, cmd->cmd->name, " must be one of: ", known, NULL);
}

static const char *on_or_off(cmd_parms *cmd, const char *args)
{
    static const char *const words[] = { "On", "Off", NULL };
    return one_of(cmd, args, words);
}

static const char *accept_mutex(cmd_parms *cmd, const char *args)
{
    static const char *const words[] = { "default", "flock", "fcntl", "sysvsem", "posixsem", "pthread", NULL };
    return one_of(cmd, args, words);
}

static int is_time(const char *word)
{
    char *end;
    return word && apr_isdigit(*word) && strtod(word, &end) >= 0 && !*end;
}

static const char *seconds(cmd_parms *cmd, const char *args)
{
    return is_time(only_word(cmd, args)) ? NULL
                                         : apr_pstrcat(cmd->pool, cmd->cmd->name, " takes a number of seconds", NULL);
}

static const char *telemetry_service(cmd_parms *cmd, const char *args)
{
    const char *key, *value, *complaint, *address = ap_getword_conf(cmd->temp_pool, &args);

    if (strncmp(address, "unix:", 5) != 0 || address[5] != '/')
        return apr_pstrcat(cmd->pool, cmd->cmd->name, " takes unix: with the path of a socket", NULL);
    while (!(complaint = wsgid_option(cmd->pool, &args, &key, &value)) && key)
        if (strcmp(key, "interval") != 0 || !is_time(value))
            return apr_pstrcat(cmd->pool, cmd->cmd->name, " has one option, interval= with a number of seconds", NULL);
    return complaint;
}

static const char *telemetry_options(cmd_parms *cmd, const char *args)
{
    static const char *const words[] = { "None", "All", "CaptureUserAgent", "+CaptureUserAgent", "-CaptureUserAgent",
                                         NULL };
    const char *complaint = NULL;

    do
        complaint = one_of(cmd, ap_getword_conf(cmd->temp_pool, &args), words);
    while (!complaint && *args);
    return complaint;
}

#define SETTING(name) ((void *)APR_OFFSETOF(wsgid_settings, name))
#define SCRIPT(name) ((void *)APR_OFFSETOF(wsgid_dir_config, name))
#define SERVER RSRC_CONF
#define ANYWHERE (RSRC_CONF | ACCESS_CONF)
#define HTACCESS (RSRC_CONF | ACCESS_CONF | OR_FILEINFO)

/* Directives of the main server that stand for an option of process groups. */
#define ALL_GROUPS(name, option, words) AP_INIT_TAKE1(name, set_for_all, option, SERVER, words)
#define IMPLICIT_GROUP(name, option, words) AP_INIT_TAKE1(name, set_for_implicit, option, SERVER, words)

/* Directives without effect: why, how their arguments are checked, and with which of them there is nothing to tell. */
#define IDLE(name, does, where, check, unless, why, words) \
    AP_INIT_RAW_ARGS(name, does, ((void *)&(const wsgid_idle) { why, check, unless }), where, words)
#define GLOBAL_IDLE(name, check, why, words) IDLE(name, global_no_effect, SERVER, check, NULL, why, words)
#define GONE(name) \
    IDLE(name, no_effect, OR_ALL, anything, NULL, \
         "has nothing to do here: it was removed from mod_wsgi; take the line out", "removed from mod_wsgi")

const command_rec wsgid_directives[] = {
    AP_INIT_RAW_ARGS("WSGIScriptAlias", add_alias, NULL, SERVER,
                     "URL path, then the script or directory, then options"),
    AP_INIT_RAW_ARGS("WSGIScriptAliasMatch", add_alias_match, NULL, SERVER,
                     "regular expression, then the script or directory, then options"),
    AP_INIT_RAW_ARGS("WSGIHandlerScript", wsgid_add_handler, NULL, ANYWHERE,
                     "name of a handler, then the script that answers for it, then options"),
    AP_INIT_RAW_ARGS("WSGIImportScript", wsgid_add_import, NULL, SERVER,
                     "path of a script, then the groups in which it is imported when workers start"),
    AP_INIT_RAW_ARGS("WSGIDaemonProcess", add_group, NULL, SERVER, "name of the process group, then options"),
    AP_INIT_TAKE1("WSGIProcessGroup", set_text, SETTING(process_group), ANYWHERE, "name of the process group to run in"),
    AP_INIT_TAKE1("WSGIApplicationGroup", set_text, SETTING(application_group), ANYWHERE,
                  "name of the application group to run in"),
    AP_INIT_RAW_ARGS("WSGIRestrictProcess", restrict_process, NULL, ANYWHERE,
                     "names of the process groups that may be used"),
    AP_INIT_TAKE1("WSGICallableObject", set_text, SETTING(callable), HTACCESS, "name of the callable in the script"),
    AP_INIT_FLAG("WSGIPassAuthorization", set_flag, SETTING(pass_authorization), HTACCESS,
                 "whether applications see the Authorization header"),
    AP_INIT_FLAG("WSGIIgnoreActivity", set_flag, SETTING(ignore_activity), HTACCESS,
                 "whether requests count as no activity of their process group"),
    AP_INIT_FLAG("WSGIScriptReloading", set_flag, SETTING(reloading), HTACCESS, "whether a changed script is loaded anew"),
    AP_INIT_FLAG("WSGIChunkedRequest", set_flag, SETTING(chunked), HTACCESS, "whether chunked request bodies are accepted"),
    AP_INIT_TAKE1("WSGIMapHEADToGET", set_map_head, SETTING(map_head), HTACCESS,
                  "whether applications see HEAD as GET: Off, On or Auto"),
    AP_INIT_FLAG("WSGIErrorOverride", set_flag, SETTING(error_override), HTACCESS,
                 "whether httpd's error documents replace the applications'"),
    AP_INIT_FLAG("WSGIEnableSendfile", set_flag, SETTING(sendfile), HTACCESS,
                 "whether the applications' files are sent by sendfile"),
    AP_INIT_RAW_ARGS("WSGITrustedProxyHeaders", trust_headers, NULL, HTACCESS,
                     "headers in which proxies tell of the client"),
    AP_INIT_RAW_ARGS("WSGITrustedProxies", trust_proxies, NULL, HTACCESS,
                     "addresses and networks of the proxies that are believed"),
    AP_INIT_FLAG("WSGIRestrictEmbedded", set_restrict_embedded, NULL, SERVER,
                 "whether requests without a process group are refused"),
    ALL_GROUPS("WSGIPythonHome", "python-home", "Python installation or virtual environment"),
    ALL_GROUPS("WSGIPythonOptimize", "python-optimize", "how many -O Python is started with: 0, 1 or 2"),
    ALL_GROUPS("WSGIPythonWarnings", "python-warnings", "a filter for Python's warnings, as after -W"),
    ALL_GROUPS("WSGIPythonHashSeed", "python-hash-seed", "seed of Python's hashes: random, or 0 to 4294967295"),
    ALL_GROUPS("WSGIDontWriteBytecode", "dont-write-bytecode", "whether Python leaves no .pyc files: On or Off"),
    ALL_GROUPS("WSGIFreeThreading", "free-threading", "whether a free-threaded Python does without its GIL: On or Off"),
    ALL_GROUPS("WSGIRestrictStdin", "restrict-stdin", "whether sys.stdin is an error: On or Off"),
    ALL_GROUPS("WSGIRestrictStdout", "restrict-stdout", "whether sys.stdout is an error: On or Off"),
    ALL_GROUPS("WSGIRestrictSignal", "restrict-signal", "whether signal.signal() does nothing: On or Off"),
    ALL_GROUPS("WSGIDestroyInterpreter", "destroy-interpreter",
               "whether a worker's end joins threads and runs what atexit knows: On or Off"),
    IMPLICIT_GROUP("WSGIPythonPath", "python-path", "directories for sys.path, for applications without a process group"),
    IMPLICIT_GROUP("WSGIPythonEggs", "python-eggs", "directory for unpacked eggs"),
    IMPLICIT_GROUP("WSGISwitchInterval", "switch-interval", "seconds between switches of Python threads"),
    AP_INIT_RAW_ARGS("<WSGIInterpreterOptions", interpreter_options, NULL, SERVER,
                     "the groups for whose interpreters the section is: process-group=, application-group="),
    AP_INIT_TAKE1("WSGIDaemonSocket", set_control_socket, NULL, SERVER,
                  "path of the daemon's control socket"),
    AP_INIT_TAKE1("WSGICPUScheduling", set_scheduling, NULL, SERVER,
                  "the kernel's policy for httpd's children: batch, or inherit"),

    AP_INIT_RAW_ARGS("WSGIAccessScript", set_dir_script, SCRIPT(access), OR_AUTHCFG,
                     "script that decides by the client's host, then options"),
    AP_INIT_RAW_ARGS("WSGIAuthUserScript", set_dir_script, SCRIPT(auth_user), OR_AUTHCFG,
                     "script that knows users and their passwords, then options"),
    AP_INIT_RAW_ARGS("WSGIAuthGroupScript", set_dir_script, SCRIPT(auth_group), OR_AUTHCFG,
                     "script that knows the groups of users, then options"),
    AP_INIT_RAW_ARGS("WSGIDispatchScript", set_dispatch, NULL, ANYWHERE,
                     "script that decides where requests go, then options"),
    IMPLICIT_GROUP("WSGIServerMetrics", "server-metrics",
                   "whether applications without a process group may see httpd's scoreboard"),

    AP_INIT_FLAG("WSGIPassApacheRequest", pass_apache_request, NULL, ANYWHERE,
                 "whether applications see httpd's request_rec, which they can't"),
    IDLE("WSGIGroupAuthoritative", no_effect, OR_AUTHCFG, on_or_off, NULL,
         "has nothing to do here: RequireAny and RequireAll say what counts",
         "whether other modules are asked for groups as well"),
    IDLE("WSGICaseSensitivity", global_no_effect, SERVER, on_or_off, "On",
         "has nothing to do here: case counts as it does for files",
         "whether the case of letters counts in the names of scripts"),
    GLOBAL_IDLE("WSGITelemetryService", telemetry_service, "has no effect: telemetry is not offered here",
                "unix: with the path of a socket, then options"),
    GLOBAL_IDLE("WSGISlowRequests", seconds, "has no effect: telemetry is not offered here",
                "seconds after which a request is told of"),
    GLOBAL_IDLE("WSGITelemetryOptions", telemetry_options, "has no effect: telemetry is not offered here",
                "what telemetry tells: None, All, or + or - and CaptureUserAgent"),
    GLOBAL_IDLE("WSGIPerInterpreterGIL", on_or_off,
                "has nothing to do here: every application group has a process of its own",
                "whether application groups have a GIL each"),
    GLOBAL_IDLE("WSGISocketPrefix", one_word, "has nothing to do here: WSGIDaemonSocket names the daemon's socket",
                "how the paths of sockets begin"),
    GLOBAL_IDLE("WSGISocketRotation", on_or_off,
                "has nothing to do here: sockets belong to the daemon, not to a generation of httpd",
                "whether sockets are other ones after a restart"),
    GLOBAL_IDLE("WSGIAcceptMutex", accept_mutex, "has nothing to do here: workers share no listening socket",
                "how workers take turns at a socket"),
    GLOBAL_IDLE("WSGIVerboseDebugging", on_or_off,
                "has nothing to do here, nor in mod_wsgi; LogLevel wsgi:debug says more",
                "whether more is logged"),
    GONE("WSGILazyInitialization"),
    GONE("WSGINewRelicConfigFile"),
    GONE("WSGINewRelicEnvironment"),
    GONE("WSGIPy3kWarningFlag"),
    GONE("WSGIReloadMechanism"),
    GONE("WSGIOutputBuffering"),
    GONE("WSGIApacheExtensions"),
    GONE("WSGIServerGroup"),
    GONE("WSGIPythonExecutable"),
    GONE("WSGIUserAuthoritative"),
    { NULL }
};
