"""The box beside the modality: a film comes in; a flag on its own page and a result over MQTT go out."""
