"""The `xbackup` command: a vault in the hands of a person."""
