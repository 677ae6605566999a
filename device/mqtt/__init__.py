"""What the box knows of MQTT: one connection, what is heard on it, and what is under way on it."""
