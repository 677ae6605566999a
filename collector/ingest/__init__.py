"""Ingest: MQTT messages come in; stored results and the receipts for them go out.

A receipt follows the commit, never the other way round. Imported by service.
"""
