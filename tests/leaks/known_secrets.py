"""The secrets that go in."""

from __future__ import annotations

# Short enough that no rule for long runs of letters hides them, and each of a kind that URLs, JSON and Base64
# write in another way.
CLIENT_SECRET = 'cl1ent+S3c"r/%t'
BOT_TOKEN = 'b0t+T0k"e/n%41'
ACCOUNT_KEY = 'acc0unt+K"e/y%42'
BOT_KEY = 'b0t+K3"y/%43xx'
BOT_SECRET = 'b0t+S3c"r/e%44t'
PROXY_PASSWORD = "pr0xyS3cr3t"
AWS_SECRET = "aws+S3cr3t/Access%Key=Xyz/012345"
AGE_SECRET = "AGE-SECRET-KEY-1QQPQYQQPQYQQPQYQQPQYQQPQYQQPQYQQPQYQQPQYQQPQYQQPQYQAAAAAA"
URL_PASSWORD = "us3rinf0P4ss"
SIGNATURE = "s1gnatur3OfAL1nk"

KNOWN = {name: value for name, value in globals().items() if name.isupper() and isinstance(value, str)}
