"""The ports over AWS; each module is one service, and imports it only when the port is used."""
