/* "key=value" as mod_wsgi writes it, and whether it is the time for a warning. */
#include "wsgid.h"

/*
 * Takes one word off the line, a quoted one without its quotes. `*glued` is set when something follows
 * the closing quote at once.
 */
static const char *value_of(apr_pool_t *p, const char **line, int *glued)
{
    const char *start = *line, *end;

    if (*start == '"' || *start == '\'') {
        const char *value = ap_getword_conf(p, line);
        /* The blanks behind a word go with it. */
        *glued = **line && !apr_isspace((*line)[-1]);
        return value;
    }
    for (end = start; *end && !apr_isspace(*end); ++end)
        ;
    *line = end;
    return apr_pstrmemdup(p, start, end - start);
}

/*
 * Takes one option off the line. Key and value are NULL when nothing is left. Returns a complaint, or
 * NULL.
 */
const char *wsgid_option(apr_pool_t *p, const char **line, const char **key, const char **value)
{
    const char *start, *end;
    int glued = 0;

    *key = *value = NULL;
    while (apr_isspace(**line))
        ++*line;
    if (!**line)
        return NULL;
    start = *line;
    for (end = start; *end && *end != '=' && !apr_isspace(*end); ++end)
        ;
    if (*end != '=' || end == start) {
        const char *word = apr_pstrmemdup(p, start, end - start);
        return apr_psprintf(p, "Invalid option '%s': options are written as name=value, without spaces "
                            "around the '='.", word);
    }
    *key = apr_pstrmemdup(p, start, end - start);
    *line = end + 1;
    *value = value_of(p, line, &glued);
    if (glued)
        return apr_psprintf(p, "Invalid value for option '%s': something follows its closing quote.", *key);
    return NULL;
}

/*
 * httpd reads its configuration twice at start. Warnings belong to the reading that counts, which is
 * the only one of a configuration test; .htaccess is read again for every request, and stays silent.
 */
int wsgid_speaks(void)
{
    int state = ap_state_query(AP_SQ_MAIN_STATE);

    return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST
        || (state != AP_SQ_MS_CREATE_PRE_CONFIG && state != AP_SQ_MS_RUN_MPM);
}
