"""Pipelines: thin chains of the subjects, each from files to finished files."""
