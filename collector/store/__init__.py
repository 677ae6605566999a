"""Store: results, vendor outputs and reads are kept in SQLite or PostgreSQL, by SQLAlchemy.

`rows` has its typed rows. Migrations (alembic) bring an older database up to date.
Imported by ingest, imports, study, web and service.
"""
