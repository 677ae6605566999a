"""The host: disk, clock, systemd, logs and standard error, with alarms and the health message built from them.

Takes nothing of an exposure. Imported by everything above it in the box.
"""
