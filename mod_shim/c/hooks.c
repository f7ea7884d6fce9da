/*
 * Scripts of access control and dispatch: WSGIAccessScript as one of httpd's access checkers, the providers
 * "wsgi" and "wsgi-group", and the step before the handler. Each asks a worker (hook.rs) and translates its
 * decision; whatever is no leave keeps out.
 *
 * All are asked for each URI, subrequests included: a script may decide by it.
 */
#include "wsgid.h"
#include "ap_provider.h"
#include "mod_auth.h"

static wsgid_dir_config *config_of(request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &wsgi_module);
}

static shim_decision decide(shim_question *question)
{
    if (wsgid_runtime)
        return wsgid_rust()->decide(wsgid_runtime, question);
    wsgid_rust()->refuse(question->ask->r, question->ask->door, SHIM_NO_CONFIGURATION,
                         "The module has no configuration; see the log of httpd's start");
    return SHIM_FAULT;
}

/* Asks a script of access control, which may be NULL: that there is none is told like all else. */
static shim_decision ask(request_rec *r, shim_question *question, const wsgid_hook_script *script)
{
    apr_array_header_t *variables = wsgid_hook_variables(r), *headers = wsgid_headers(r);
    shim_ask ask = {
        .r = r,
        .door = &wsgid_door,
        .variables = (const shim_pair *)variables->elts,
        .variable_count = variables->nelts,
        .headers = (const shim_pair *)headers->elts,
        .header_count = headers->nelts,
        .script = wsgid_text(script ? script->path : NULL),
        .application_group = wsgid_text(script ? script->application_group : NULL),
        .request_time = r->request_time,
        .timeout = (uint32_t)apr_time_sec(r->server->timeout),
        .reloading = wsgid_settings_of(r, NULL).reloading,
    };

    question->ask = &ask;
    return decide(question);
}

/* Is somebody else asked once more when this client is refused? */
static int may_satisfy_otherwise(request_rec *r)
{
    return ap_satisfies(r) == SATISFY_ANY && ap_some_auth_required(r);
}

static int check_access(request_rec *r)
{
    const wsgid_hook_script *script = config_of(r)->access;
    const char *host;
    shim_text argument;
    shim_question question = { .hook = SHIM_ACCESS, .arguments = &argument, .argument_count = 1 };

    if (!script)
        return DECLINED;
    host = ap_get_useragent_host(r, REMOTE_HOST, NULL);
    argument = wsgid_text(host ? host : r->useragent_ip);
    question.target = wsgid_text(r->filename ? r->filename : r->uri);
    question.quiet = may_satisfy_otherwise(r);
    switch (ask(r, &question, script)) {
    case SHIM_GRANTED:
        return OK;
    case SHIM_UNDECIDED:
        return DECLINED;
    default:
        return HTTP_FORBIDDEN;
    }
}

/* A text in the request's own memory. */
typedef struct {
    apr_pool_t *pool;
    char *text;
} taken;

static void take(void *into, uint32_t place, shim_text text)
{
    taken *there = into;
    there->text = apr_pstrmemdup(there->pool, text.data, text.length);
}

static authn_status check_password(request_rec *r, const char *user, const char *password)
{
    taken name = { r->pool, NULL };
    shim_text arguments[] = { wsgid_text(user), wsgid_text(password) };
    shim_question question = {
        .hook = SHIM_PASSWORD, .arguments = arguments, .argument_count = 2, .take = take, .into = &name
    };

    switch (ask(r, &question, config_of(r)->auth_user)) {
    case SHIM_GRANTED:
        if (name.text)
            r->user = name.text;
        return AUTH_GRANTED;
    case SHIM_DENIED:
        return AUTH_DENIED;
    case SHIM_UNDECIDED:
        return AUTH_USER_NOT_FOUND;
    default:
        return AUTH_GENERAL_ERROR;
    }
}

static authn_status get_realm_hash(request_rec *r, const char *user, const char *realm, char **hash)
{
    taken found = { r->pool, NULL };
    shim_text arguments[] = { wsgid_text(user), wsgid_text(realm) };
    shim_question question = {
        .hook = SHIM_REALM_HASH, .arguments = arguments, .argument_count = 2, .take = take, .into = &found
    };
    shim_decision decision = ask(r, &question, config_of(r)->auth_user);

    if (decision == SHIM_UNDECIDED)
        return AUTH_USER_NOT_FOUND;
    if (decision != SHIM_GRANTED || !found.text)
        return AUTH_GENERAL_ERROR;
    *hash = found.text;
    return AUTH_USER_FOUND;
}

/* The groups of a Require line. */
typedef struct {
    apr_array_header_t *names; /* of shim_text */
    int negated;
} wanted_groups;

/*
 * Is it leave not to be in these groups? Of an alias it is known only where that is named, and so may be.
 */
static int is_negated(const cmd_parms *cmd)
{
    const ap_directive_t *each;
    const char *args = cmd->directive->args;

    if (strcasecmp(ap_getword_conf(cmd->temp_pool, &args), "not") == 0)
        return 1;
    for (each = cmd->directive; each; each = each->parent)
        if (strcasecmp(each->directive, "<RequireNone") == 0
            || strcasecmp(each->directive, "<AuthzProviderAlias") == 0)
            return 1;
    return 0;
}

static const char *parse_groups(cmd_parms *cmd, const char *line, const void **parsed)
{
    wanted_groups *wanted = apr_palloc(cmd->pool, sizeof(*wanted));
    const char *word;

    wanted->names = apr_array_make(cmd->pool, 4, sizeof(shim_text));
    while (*(word = ap_getword_conf(cmd->pool, &line)))
        *(shim_text *)apr_array_push(wanted->names) = wsgid_text(word);
    wanted->negated = is_negated(cmd);
    *parsed = wanted;
    return NULL;
}

/*
 * Who can't be asked about is in no group, as in mod_wsgi; but where that would be leave, the request fails
 * as a whole.
 */
static authz_status check_groups(request_rec *r, const char *line, const void *parsed)
{
    const wanted_groups *wanted = parsed;
    shim_text user;
    shim_question question = { .hook = SHIM_GROUPS, .arguments = &user, .argument_count = 1 };

    if (!r->user)
        return AUTHZ_DENIED_NO_USER;
    user = wsgid_text(r->user);
    question.wanted = (const shim_text *)wanted->names->elts;
    question.wanted_count = wanted->names->nelts;
    question.target = wsgid_text(r->uri);
    switch (ask(r, &question, config_of(r)->auth_group)) {
    case SHIM_GRANTED:
        return AUTHZ_GRANTED;
    case SHIM_DENIED:
        return AUTHZ_DENIED;
    default:
        return wanted->negated ? AUTHZ_GENERAL_ERROR : AUTHZ_DENIED;
    }
}

/* Texts of a dispatch script go to where the request is to go. */
static void redirect(void *into, uint32_t place, shim_text text)
{
    shim_ask *ask = into;
    request_rec *r = ask->r;
    shim_text kept = { apr_pstrmemdup(r->pool, text.data, text.length), text.length };

    switch (place) {
    case 0:
        ask->process_group = kept;
        break;
    case 1:
        ask->application_group = kept;
        break;
    case 2:
        ask->callable = kept;
        ask->expand_callable = 1;
        break;
    }
}

/* Lets a script say where a request goes, whose particulars are complete. */
int wsgid_dispatch(const wsgid_hook_script *script, shim_ask *ask)
{
    shim_ask asked = *ask;
    shim_question question = { .ask = &asked, .hook = SHIM_DISPATCH, .take = redirect, .into = ask };

    asked.script = wsgid_text(script->path);
    asked.application_group = wsgid_text(script->application_group);
    question.target = ask->script;
    return decide(&question) == SHIM_GRANTED ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

void wsgid_register_hooks(apr_pool_t *p)
{
    static const char *const after[] = { "mod_ssl.c", NULL };
    static const char *const before[] = { "mod_authz_host.c", NULL };
    static const authn_provider users = { check_password, get_realm_hash };
    static const authz_provider groups = { check_groups, parse_groups };

    ap_hook_check_access(check_access, after, before, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_URI);
    ap_register_auth_provider(p, AUTHN_PROVIDER_GROUP, "wsgi", AUTHN_PROVIDER_VERSION, &users,
                              AP_AUTH_INTERNAL_PER_URI);
    ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, "wsgi-group", AUTHZ_PROVIDER_VERSION, &groups,
                              AP_AUTH_INTERNAL_PER_URI);
}
