from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idHasher(Argon2PasswordHasher):
    """
    Argon2id with the parameters that OWASP's Password Storage Cheat Sheet names: 19 MiB of memory, two passes, one lane.

    A password that was hashed otherwise is hashed anew at the next login.
    """

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1
