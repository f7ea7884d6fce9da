/*
 * What the C files share among themselves. They are the only ones that know httpd; everything with a
 * frame, a pool or a socket is behind shim.h.
 *
 *   module.c      the module record and its hooks
 *   config.c      configuration of servers and directories: creation and merging
 *   directives.c  the table of directives and what each does
 *   options.c     "key=value" as mod_wsgi writes it
 *   route.c       what the ways to an application say of it: options that they share
 *   alias.c       WSGIScriptAlias: from URL to file
 *   scripts.c     WSGIHandlerScript and WSGIImportScript: files that no URL is mapped to
 *   handler.c     from a request_rec to a shim_ask
 *   hooks.c       scripts of access control and dispatch: httpd's hooks and providers
 *   lookup.c      what a worker may ask: mod_ssl's variables, the scoreboard
 *   environ.c     the variables of a request
 *   proxies.c     trusted proxies and their headers
 *   body.c        reading what the client sends
 *   reply.c       brigades: what the client gets
 *   startup.c     post_config and the parent's maintenance
 *   schedule.c    how children share a processor
 *   restart.c     how a graceful restart is not held up
 *   dump.c        the configuration for wsgictl check
 *   rust.c        where Rust's functions are
 */
#ifndef WSGID_H
#define WSGID_H

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "ap_mpm.h"
#include "apr_strings.h"
#include "apr_hash.h"
#include "apr_lib.h"

#include "shim.h"

extern module AP_MODULE_DECLARE_DATA wsgi_module;
APLOG_USE_MODULE(wsgi);

#define WSGID_HANDLER "wsgi-script"
#define WSGID_UNSET (-1)
/* Where the daemon is, if WSGIDaemonSocket does not say. */
#define WSGID_CONTROL_SOCKET "/run/wsgid/control.sock"
/* What the Server header is told. */
#define WSGID_COMPONENT "mod_wsgid/0.1"

/* A script of access control or dispatch. */
typedef struct {
    const char *path;
    const char *application_group; /* %{...} not expanded */
} wsgid_hook_script;

/* What both servers and directories may set; NULL or WSGID_UNSET where they did not. */
typedef struct {
    const char *process_group;
    const char *application_group;
    const char *callable;
    int pass_authorization;
    int reloading;
    int ignore_activity;
    int chunked;
    int map_head;                        /* wsgid_map_head */
    int error_override;
    int sendfile;
    apr_array_header_t *allowed_groups;  /* of shim_text */
    const wsgid_hook_script *dispatch;
    apr_array_header_t *trusted_headers; /* of shim_text */
    apr_array_header_t *trusted_proxies; /* of apr_ipsubnet_t * */
} wsgid_settings;

/* WSGIMapHEADToGET. */
typedef enum { WSGID_MAP_OFF, WSGID_MAP_ON, WSGID_MAP_AUTO } wsgid_map_head;

/* A directive that is accepted and changes nothing. */
typedef struct {
    const char *why;
    /* What is wrong with the arguments, or NULL. */
    const char *(*check)(cmd_parms *cmd, const char *args);
    /* The argument with which it says what is so anyway, or NULL. */
    const char *unless;
} wsgid_idle;

/* What the way to an application says of it, for settings that it overrides; else NULL or WSGID_UNSET. */
typedef struct {
    const char *process_group;
    const char *application_group;
    const char *callable;
    int pass_authorization;
} wsgid_route;

/* Options of a route beside those for its groups. */
enum { WSGID_WITH_CALLABLE = 1, WSGID_WITH_AUTHORIZATION = 2 };

/* One WSGIScriptAlias or WSGIScriptAliasMatch. */
typedef struct {
    const char *location;
    const char *target;
    ap_regex_t *pattern; /* of a Match, else NULL */
    wsgid_route route;
} wsgid_alias;

/* One WSGIHandlerScript. */
typedef struct {
    const char *path;
    wsgid_route route;
} wsgid_script;

typedef struct {
    wsgid_settings settings;
    apr_array_header_t *aliases; /* of wsgid_alias */
    apr_hash_t *handlers;        /* of wsgid_script *, or NULL */
    int restrict_embedded;
} wsgid_server_config;

typedef struct {
    wsgid_settings settings;
    apr_hash_t *handlers; /* of wsgid_script *, or NULL */
    const wsgid_hook_script *access;
    const wsgid_hook_script *auth_user;
    const wsgid_hook_script *auth_group;
} wsgid_dir_config;

/* What only the main server may set, fresh for each reading of the configuration. */
typedef struct {
    shim_draft *draft;
    apr_hash_t *bound;         /* by process group, the virtual host that declared it, whose ServerName may stand
                                * further down */
    apr_hash_t *told;          /* names of directives whose lack of effect has been told */
    const char *control_socket;
    int inherit_scheduling;    /* httpd's children are left as they are */
} wsgid_globals;

/* A request of ours between the hooks and the door. */
typedef struct {
    const char *script_name;
    const wsgid_settings *settings;
    apr_interval_time_t client_timeout; /* for what it takes of the response; 0 is Apache's Timeout */
    apr_bucket_brigade *input;
    apr_bucket_brigade *output;
    int prior_status;     /* before the application said one */
    const char *redirect; /* where httpd is to go in place of answering */
    int overridden;       /* the status that httpd is to answer with, or 0 */
    int has_body;
    int body_ended;
    apr_status_t body_status; /* why no more of the body can be read, although it has not ended */
    int has_file; /* the response, or a part of it, is a file */
    int begun;    /* something of it has been passed on */
} wsgid_request;

extern wsgid_globals wsgid_global;
extern shim_runtime *wsgid_runtime;

/* rust.c */
const shim_functions *wsgid_rust(void);

/* config.c */
extern const wsgid_settings wsgid_defaults;
void *wsgid_create_server(apr_pool_t *p, server_rec *s);
void *wsgid_merge_server(apr_pool_t *p, void *base, void *child);
void *wsgid_create_dir(apr_pool_t *p, char *dir);
void *wsgid_merge_dir(apr_pool_t *p, void *base, void *child);
wsgid_settings wsgid_settings_of(request_rec *r, const wsgid_route *route);

/* directives.c */
extern const command_rec wsgid_directives[];
const wsgid_idle *wsgid_idle_of(const command_rec *command);
const char *wsgid_default_of(apr_pool_t *p, const command_rec *command);

/* options.c */
const char *wsgid_option(apr_pool_t *p, const char **line, const char **key, const char **value);
int wsgid_speaks(void);

/* route.c */
const char *wsgid_route_options(cmd_parms *cmd, const char *args, const char *what, int with, wsgid_route *route);
const char *wsgid_group_complaint(cmd_parms *cmd, const char *group);
int wsgid_group_is_for(const char *group, const server_rec *s);
const char *wsgid_global_to_empty(const char *name);

/* alias.c */
int wsgid_translate(request_rec *r);
const wsgid_alias *wsgid_alias_of(request_rec *r);
const char *wsgid_add_alias(cmd_parms *cmd, const char *args, int is_match);
int wsgid_is_preloaded(apr_pool_t *p, const wsgid_alias *alias, const char *process, const char *application);
void wsgid_preload(const char *process, const char *application, const char *script, int first);

/* scripts.c */
const char *wsgid_add_handler(cmd_parms *cmd, void *dir, const char *args);
const char *wsgid_add_import(cmd_parms *cmd, void *dir, const char *args);
const wsgid_script *wsgid_handler_of(const request_rec *r);

/* handler.c */
int wsgid_handler(request_rec *r);
wsgid_request *wsgid_request_of(request_rec *r);

/* hooks.c */
void wsgid_register_hooks(apr_pool_t *p);
int wsgid_dispatch(const wsgid_hook_script *script, shim_ask *ask);

/* lookup.c */
int wsgid_is_https(void *r);
shim_text wsgid_ssl_variable(void *r, const char *name);
extern const shim_scores wsgid_scores;

/* environ.c */
apr_array_header_t *wsgid_hook_variables(request_rec *r);
apr_array_header_t *wsgid_variables(request_rec *r, const wsgid_request *request);
apr_array_header_t *wsgid_headers(request_rec *r);

/* proxies.c */
const char *wsgid_trust_headers(cmd_parms *cmd, wsgid_settings *settings, const char *args);
const char *wsgid_trust_proxies(cmd_parms *cmd, wsgid_settings *settings, const char *args);
int wsgid_trusts_peer(const request_rec *r, const wsgid_settings *settings);
int wsgid_trusts(void *r, const char *address);

/* body.c */
shim_body wsgid_read_body(void *r, int wait, char *buffer, size_t room, size_t *length, int *status);

/* reply.c */
extern const shim_door wsgid_door;

/* startup.c */
extern const shim_host wsgid_host;
int wsgid_pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);
int wsgid_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
int wsgid_monitor(apr_pool_t *p, server_rec *s);
void wsgid_child_init(apr_pool_t *p, server_rec *s);
const char *wsgid_control_socket(void);
uid_t wsgid_web_uid(void);
gid_t wsgid_web_gid(void);

/* schedule.c */
void wsgid_schedule(server_rec *s);
void wsgid_give_way(int on);

/* stay.c */
void wsgid_register_staying(void);
void wsgid_allow_staying(void);
void wsgid_occupy(int on);
void wsgid_stay_with(conn_rec *c);

/* restart.c */
void wsgid_hasten_restart(apr_pool_t *pconf);
void wsgid_child_status(server_rec *s, pid_t pid, ap_generation_t generation, int slot, mpm_child_status status);

/* dump.c */
void wsgid_dump(apr_pool_t *p, server_rec *s);

static inline shim_text wsgid_text(const char *string)
{
    shim_text text = { string, string ? strlen(string) : 0 };
    return text;
}

#endif
