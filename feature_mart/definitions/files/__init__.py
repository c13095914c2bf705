"""The shape of each kind of YAML file, one model per kind. The descriptions are what the reference prints."""
