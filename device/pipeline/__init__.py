"""Pipeline: a spooled exposure comes in; its flag in the history and its result in the outbox go out, in one commit.

Imported by service and, for one exposure without a spool, by commands.
"""
