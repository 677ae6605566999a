"""Alembic's entry: the store hands over its open connection; the revisions run on it."""

from __future__ import annotations

from alembic import context

from collector.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
