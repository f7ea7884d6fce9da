/* WSGITrustedProxyHeaders and WSGITrustedProxies: reading them, and whom they mean. What follows from a
 * header that is trusted is decided in Rust. */
#include "wsgid.h"
#include <arpa/inet.h>

/* Each line adds to what the lines before it have listed in the same section. */
static apr_array_header_t *list(apr_pool_t *p, apr_array_header_t **place, int size)
{
    if (!*place)
        *place = apr_array_make(p, 4, size);
    return *place;
}

const char *wsgid_trust_headers(cmd_parms *cmd, wsgid_settings *settings, const char *args)
{
    apr_array_header_t *headers = list(cmd->pool, &settings->trusted_headers, sizeof(shim_text));

    while (*args)
        *(shim_text *)apr_array_push(headers) = wsgid_text(ap_getword_conf(cmd->pool, &args));
    return NULL;
}

/* The address of this text. Not by asking anybody: a name is none. */
static apr_sockaddr_t *address_of(apr_pool_t *p, const char *text)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    apr_sockaddr_t *address;

    if (inet_pton(AF_INET, text, bytes) != 1 && inet_pton(AF_INET6, text, bytes) != 1)
        return NULL;
    return apr_sockaddr_info_get(&address, text, APR_UNSPEC, 0, 0, p) == APR_SUCCESS ? address : NULL;
}

const char *wsgid_trust_proxies(cmd_parms *cmd, wsgid_settings *settings, const char *args)
{
    apr_array_header_t *proxies = list(cmd->pool, &settings->trusted_proxies, sizeof(apr_ipsubnet_t *));

    while (*args) {
        const char *word = ap_getword_conf(cmd->pool, &args);
        char *network = apr_pstrdup(cmd->temp_pool, word), *mask = strchr(network, '/');
        apr_ipsubnet_t *subnet;

        if (mask)
            *mask++ = '\0';
        if (!*network || apr_ipsubnet_create(&subnet, network, mask, cmd->pool) != APR_SUCCESS)
            return apr_psprintf(cmd->pool, "Unable to parse trusted proxy IP address/subnet of \"%s\".", word);
        *(apr_ipsubnet_t **)apr_array_push(proxies) = subnet;
    }
    return NULL;
}

static int is_among(const apr_array_header_t *proxies, apr_sockaddr_t *address)
{
    int i;

    for (i = 0; i < proxies->nelts; ++i)
        if (apr_ipsubnet_test(APR_ARRAY_IDX(proxies, i, apr_ipsubnet_t *), address))
            return 1;
    return 0;
}

int wsgid_trusts_peer(const request_rec *r, const wsgid_settings *settings)
{
    return !settings->trusted_proxies || is_among(settings->trusted_proxies, r->useragent_addr);
}

int wsgid_trusts(void *r_, const char *text)
{
    request_rec *r = r_;
    const wsgid_settings *settings = wsgid_request_of(r)->settings;
    apr_sockaddr_t *address = address_of(r->pool, text);

    if (!address)
        return -1;
    return settings->trusted_proxies && is_among(settings->trusted_proxies, address);
}
