"""This folder defines what a TOML file may say."""
