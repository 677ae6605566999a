"""Store: results, vendor outputs and reads come in and are kept, in SQLite or PostgreSQL, by way of SQLAlchemy.

Migrations (alembic) bring an older database up to date. Imported by ingest, imports, study, web and service.
"""
