"""The host: disk, clock and standard error, alarms, and the health message for collector and systemd.

Takes nothing of an exposure. Imported by everything above it in the box.
"""
