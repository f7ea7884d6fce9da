"""Asks the functions of a script of access control or dispatch, and says what their answers come to.

An answer is a pair: what it is, and texts as bytes. Of an answer that is none, the text is a sentence for the
error log. Nothing here takes an answer for more than it says: only True is leave.
"""

ACCESS, PASSWORD, REALM_HASH, GROUPS, DISPATCH = range(1, 6)

# More groups than this are no list but a mistake, such as a generator without an end.
MOST_GROUPS = 20000


def judge(hook, path, names, environ, arguments):
    """What the script with these names says."""
    if hook == DISPATCH:
        return route(path, names, environ)
    name, missing, read = HOOKS[hook]
    if name not in names:
        return 'missing', [sentence(missing, path)]
    return read(path, names[name](environ, *arguments))


def access(path, result):
    if result is None:
        return 'undecided', []
    if result is True or result is False:
        return 'granted' if result else 'denied', []
    return 'verdict', [
        sentence("Result returned from 'allow_access' in '%s' must be a boolean or None.", path)
    ]


def password(path, result):
    if result is None:
        return 'undecided', []
    if result is True or result is False:
        return 'granted' if result else 'denied', []
    if isinstance(result, str) and '\0' not in result:
        if not result:
            return 'empty', [sentence("Basic auth provider '%s' returned empty user name string.", path)]
        return 'user', [result.encode('utf-8')]
    return 'verdict', [
        sentence("Basic auth provider '%s' must return True, False, None or user name as string.", path)
    ]


def realm_hash(path, result):
    if result is None:
        return 'undecided', []
    text = as_bytes(result)
    if text is None:
        return 'verdict', [sentence("Digest auth provider '%s' must return None or string object.", path)]
    if not text:
        return 'empty', [sentence("Digest auth provider '%s' returned empty realm hash.", path)]
    return 'hash', [text]


def groups(path, result):
    try:
        items = iter(result)
    except TypeError:
        words = "Result returned from 'groups_for_user' in '%s' is not iterable; expected names of groups."
        return 'verdict', [sentence(words, path)]
    found = []
    for item in items:
        text = as_bytes(item)
        if text is None or len(found) == MOST_GROUPS:
            words = "Item returned from 'groups_for_user' in '%s' is not a byte string, or is one too many."
            return 'item', [sentence(words, path)]
        found.append(text)
    return 'groups', found


def route(path, names, environ):
    """The texts are those of the three functions, None where there is nothing to change."""
    texts = []
    for name in ('process_group', 'application_group', 'callable_object'):
        result = names[name](environ) if name in names else None
        text = as_bytes(result)
        if result is not None and text is None:
            words = "Result returned from '%s' in '%%s' must be a string or None." % name
            return 'verdict', [sentence(words, path)]
        texts.append(text)
    return 'route', texts


def as_bytes(value):
    """A string as httpd has it, or None: its strings are ISO 8859-1 at best, and end at a NUL."""
    if isinstance(value, str):
        try:
            value = value.encode('latin-1')
        except UnicodeEncodeError:
            return None
    return bytes(value) if isinstance(value, bytes) and b'\0' not in value else None


def sentence(words, path):
    return (words % path).encode('utf-8', 'backslashreplace')


HOOKS = {
    ACCESS: (
        'allow_access',
        "Target WSGI host access script '%s' does not provide 'allow_access' callable.",
        access,
    ),
    PASSWORD: (
        'check_password',
        "Target WSGI user authentication script '%s' does not provide 'Basic' auth provider.",
        password,
    ),
    REALM_HASH: (
        'get_realm_hash',
        "Target WSGI user authentication script '%s' does not provide 'Digest' auth provider.",
        realm_hash,
    ),
    GROUPS: (
        'groups_for_user',
        "Target WSGI group authentication script '%s' does not provide 'groups_for_user' callable.",
        groups,
    ),
}
