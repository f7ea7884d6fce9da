/*
 * The configuration for another program: `httpd -t -D DUMP_WSGI` prints it, `wsgictl check` reads it.
 * httpd has resolved includes, conditions, macros and variables by then, so nobody else need know how.
 *
 * One record to a line, its fields separated by tabs; bytes that would break a line are escaped.
 *
 *   mod_wsgid-dump 1
 *   fact       name value
 *   command    a directive of ours, where it may stand, why it has no effect (empty where it has one),
 *              with which argument there is nothing to say of that, and its default (wsgid_default_of)
 *   server     file, line, name and port; the main server has no file
 *   directive  depth, file, line, name, arguments; the children of a section follow it, one level deeper
 *   end
 */
#include "wsgid.h"
#include "http_main.h"
#include "util_cfgtree.h"

#define DEFINE "DUMP_WSGI"

/* The text with tabs, line ends, other control characters and backslashes as \xHH. */
static const char *escaped(apr_pool_t *p, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = (const unsigned char *)(text ? text : "");
    char *start = apr_palloc(p, 4 * strlen((const char *)from) + 1), *to = start;

    for (; *from; ++from) {
        if (*from >= ' ' && *from != '\\' && *from != 0x7f) {
            *to++ = (char)*from;
            continue;
        }
        *to++ = '\\';
        *to++ = 'x';
        *to++ = digits[*from >> 4];
        *to++ = digits[*from & 15];
    }
    *to = '\0';
    return start;
}

static void fact(apr_file_t *out, apr_pool_t *p, const char *name, const char *value)
{
    apr_file_printf(out, "fact\t%s\t%s\n", name, escaped(p, value));
}

static void facts(apr_file_t *out, apr_pool_t *p)
{
    fact(out, p, "server-root", ap_server_root);
    fact(out, p, "control-socket", wsgid_control_socket());
    fact(out, p, "web-uid", apr_psprintf(p, "%lu", (unsigned long)wsgid_web_uid()));
    fact(out, p, "web-gid", apr_psprintf(p, "%lu", (unsigned long)wsgid_web_gid()));
}

static const char *contexts(int where)
{
    if (where == OR_ALL)
        return "server,directory,htaccess:All";
    if (where & OR_FILEINFO)
        return "server,directory,htaccess:FileInfo";
    if (where & OR_AUTHCFG)
        return "directory,htaccess:AuthConfig";
    return where & ACCESS_CONF ? where & RSRC_CONF ? "server,directory" : "directory" : "server";
}

static void commands(apr_file_t *out, apr_pool_t *p)
{
    const command_rec *command;

    for (command = wsgid_directives; command->name; ++command) {
        const wsgid_idle *idle = wsgid_idle_of(command);
        apr_file_printf(out, "command\t%s\t%s\t%s\t%s\t%s\n", command->name, contexts(command->req_override),
                        escaped(p, idle ? idle->why : NULL), escaped(p, idle ? idle->unless : NULL),
                        escaped(p, wsgid_default_of(p, command)));
    }
}

static void servers(apr_file_t *out, apr_pool_t *p, const server_rec *s)
{
    for (; s; s = s->next)
        apr_file_printf(out, "server\t%s\t%u\t%s\t%u\n", s->is_virtual ? escaped(p, s->defn_name) : "",
                        s->is_virtual ? s->defn_line_number : 0, escaped(p, s->server_hostname), s->port);
}

static void directives(apr_file_t *out, apr_pool_t *p, const ap_directive_t *each, int depth)
{
    for (; each; each = each->next) {
        apr_file_printf(out, "directive\t%d\t%s\t%d\t%s\t%s\n", depth, escaped(p, each->filename),
                        each->line_num, escaped(p, each->directive), escaped(p, each->args));
        directives(out, p, each->first_child, depth + 1);
    }
}

void wsgid_dump(apr_pool_t *p, server_rec *s)
{
    apr_file_t *out;

    if (!ap_exists_config_define(DEFINE) || apr_file_open_stdout(&out, p) != APR_SUCCESS)
        return;
    apr_file_puts("mod_wsgid-dump 1\n", out);
    facts(out, p);
    commands(out, p);
    servers(out, p, s);
    directives(out, p, ap_conftree, 0);
    apr_file_puts("end\n", out);
    apr_file_flush(out);
}
