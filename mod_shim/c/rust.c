/* Where C finds Rust's functions: behind the module record. The only C file that knows no httpd, since
 * httpd's headers call the same symbol a module. */
#include "shim.h"

extern shim_exported wsgi_module;

const shim_functions *wsgid_rust(void)
{
    return wsgi_module.functions;
}
