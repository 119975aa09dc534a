"""The code that runs on the device; needs only numpy, Pillow and one engine.

Stays Python 3.9 compatible, because boards are old.
"""
