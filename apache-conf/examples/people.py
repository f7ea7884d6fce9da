"""Who may see the private part of a site: see access-control.conf.

Passwords are known by their salted hashes, here those of "correct horse" and "battery staple". For another:

    >>> salt = os.urandom(16)
    >>> salt.hex(), hashed(salt, getpass.getpass())
"""

import hashlib
import hmac

# Every request of a browser brings the password, and pays for its hash.
ROUNDS = 50_000

# Name: salt, hash, groups.
PEOPLE = {
    "ann": (
        "b1a9f4f07c1d4a2e8d6c5b3a29181706",
        "9dd714fc81efab9851f893538e66027f5dcc4553d81d42f9154e191a1d1e5928",
        ("staff", "writers"),
    ),
    "bob": (
        "5e2d8c7b6a594837261504f3e2d1c0bf",
        "8772f86a263c89c1855e0bfc8d06759055ec3adb2bb92577fb396e426a6bc999",
        ("guests",),
    ),
}


def hashed(salt, password):
    # As the browser sent it: its bytes stand in the string as ISO 8859-1.
    return hashlib.pbkdf2_hmac("sha256", password.encode("latin-1"), salt, ROUNDS).hex()


def check_password(environ, user, password):
    """True: it is right; False: it is wrong; None: there is no such user."""
    if user not in PEOPLE:
        return None
    salt, known, _ = PEOPLE[user]
    return hmac.compare_digest(hashed(bytes.fromhex(salt), password), known)


def groups_for_user(environ, user):
    return PEOPLE[user][2] if user in PEOPLE else ()
