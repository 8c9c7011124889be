"""The serving side: the archive that TorchServe loads, its configuration, and a server that starts and stops."""
