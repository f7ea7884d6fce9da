/* The module record. Its symbol and source name are mod_wsgi's, so that <IfModule wsgi_module>,
 * <IfModule mod_wsgi.c> and LogLevel wsgi:info go on working. */
#include "wsgid.h"
#include "mpm_common.h"

static void register_hooks(apr_pool_t *p)
{
    static const char *const after[] = { "mod_alias.c", NULL };
    static const char *const before[] = { "mod_userdir.c", "mod_vhost_alias.c", NULL };

    ap_hook_pre_config(wsgid_pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    /* Last: other modules may still set the user or the MPM's limits. */
    ap_hook_post_config(wsgid_post_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_test_config(wsgid_dump, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(wsgid_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_status(wsgid_child_status, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_monitor(wsgid_monitor, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_translate_name(wsgid_translate, after, before, APR_HOOK_MIDDLE);
    ap_hook_handler(wsgid_handler, NULL, NULL, APR_HOOK_MIDDLE);
    wsgid_register_hooks(p);
    wsgid_register_staying();
}

/* STANDARD20_MODULE_STUFF with mod_wsgi's source name in place of this file's. */
static const module record = {
    MODULE_MAGIC_NUMBER_MAJOR,
    MODULE_MAGIC_NUMBER_MINOR,
    -1,
    "mod_wsgi.c",
    NULL,
    NULL,
    MODULE_MAGIC_COOKIE,
    NULL,
    wsgid_create_dir,
    wsgid_merge_dir,
    wsgid_create_server,
    wsgid_merge_server,
    wsgid_directives,
    register_hooks,
    AP_MODULE_FLAG_NONE
};

/*
 * The room of the record is Rust's (see shim_exported); it is filled while the module is loaded, before
 * httpd looks at it.
 */
_Static_assert(sizeof(module) <= SHIM_RECORD_BYTES, "shim.h must make more room for the module record");

__attribute__((constructor)) static void fill_record(void)
{
    wsgi_module = record;
}
