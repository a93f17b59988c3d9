"""The schema of TOML files."""
