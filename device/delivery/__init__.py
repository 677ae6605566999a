"""Delivery: results and flags come in; MQTT messages go out until the collector's receipt confirms them.

The outbox and the flag history are durable SQLite; paho's callbacks only enqueue.
Imported by pipeline, board and service.
"""
