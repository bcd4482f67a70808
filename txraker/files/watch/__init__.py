"""Tells what changes in the roots, whoever changes it: from the kernel's hints to what clients are told."""
