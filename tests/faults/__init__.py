"""Faults injected into real runs of a tiny repository; `make faults` runs them all and prints a table.

undisturbed.py makes the repository, with a snapshot before every stage; kills.py kills at random moments; disks.py,
inputs.py, processes.py and network.py hold one function a fault. Everything stays on loopback and in one folder.
"""
