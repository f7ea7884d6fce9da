"""Who may log in, and who may push."""

USERS = {"alice": "wonderland", "bob": "builder"}
GROUPS = {"alice": ["committers", "readers"], "bob": ["readers"]}


def check_password(environ, user, password):
    """A known user's password, or None for a user of somebody else's."""
    if user not in USERS:
        return None
    return USERS[user] == password


def groups_for_user(environ, user):
    """The names of the groups."""
    return GROUPS.get(user, [])
